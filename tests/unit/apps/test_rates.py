"""Counting in a window that moves: quick with many names, bounded, and never in the way when it is away."""

import asyncio

import limits.aio.storage
import pytest
from limits import RateLimitItem, parse

from apps.feedback_api.rates import MemoryWindow, SharedWindow


class Away(limits.aio.storage.MemoryStorage):
    """A storage of the library's that does not answer."""

    STORAGE_SCHEME = ["async+away"]  # noqa: RUF012 - as the library wants it

    @property
    def base_exceptions(self) -> type[Exception]:
        return OSError

    async def acquire_entry(self, *_: object, **__: object) -> bool:
        raise OSError


@pytest.fixture
def rate() -> RateLimitItem:
    rate = parse("3/second")
    assert rate is not None
    return rate


async def test_there_is_room_again_when_it_is_said(rate: RateLimitItem) -> None:
    window = MemoryWindow()
    assert await window.seconds_until(rate, "user", "anna", 2) == 0
    wait = await window.seconds_until(rate, "user", "anna", 2)
    assert 0 < wait <= 1
    assert await window.seconds_until(rate, "user", "anna", 4) == 1, "there never will be"
    assert await window.seconds_until(rate, "user", "anna", 1) == 0, "what was refused is not counted"
    await asyncio.sleep(wait)
    assert await window.seconds_until(rate, "user", "anna", 2) == 0


async def test_it_keeps_who_came_last_and_forgets_who_is_over(rate: RateLimitItem) -> None:
    window = MemoryWindow(most=10)
    for number in range(100):
        await window.seconds_until(rate, "user", str(number), 1 if number % 2 else 4)
    assert len(window) <= 10
    await asyncio.sleep(1)
    await window.seconds_until(rate, "user", "anna", 1)
    assert len(window) == 1


async def test_many_names_leave_nothing_to_do_beside(rate: RateLimitItem) -> None:
    """The library's own storage in memory begins a task at each hit that looks at all names in threads."""
    # A browser of other tests may stand here too.
    before = asyncio.all_tasks()
    window = MemoryWindow()
    for number in range(1000):
        await window.seconds_until(rate, "user", str(number), 1)
    assert asyncio.all_tasks() == before


async def test_a_storage_that_is_away_refuses_nobody(rate: RateLimitItem) -> None:
    assert await SharedWindow("async+away://").seconds_until(rate, "user", "anna", 1) == 0


async def test_in_a_storage_of_the_library(rate: RateLimitItem) -> None:
    window = SharedWindow("async+memory://")
    assert await window.seconds_until(rate, "user", "anna", 3) == 0
    assert await window.seconds_until(rate, "user", "anna", 1) > 0
