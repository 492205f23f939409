"""Waiting for a condition, never for a time."""

import asyncio
import inspect
from collections.abc import Awaitable, Callable

_STEP_SECONDS = 0.05


async def wait_until(condition: Callable[[], bool | Awaitable[bool]], *, seconds: float, what: str) -> None:
    """Return once the condition holds; fail with ``what`` when it does not within the deadline."""
    try:
        async with asyncio.timeout(seconds):
            while not await _holds(condition):  # noqa: ASYNC110 - other processes set no event
                await asyncio.sleep(_STEP_SECONDS)
    except TimeoutError:
        message = f"not within {seconds:g} s: {what}"
        raise AssertionError(message) from None


async def _holds(condition: Callable[[], bool | Awaitable[bool]]) -> bool:
    result = condition()
    return await result if inspect.isawaitable(result) else bool(result)
