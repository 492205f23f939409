"""Clients in processes of their own: what measures must not share an interpreter with what is measured."""

from collections.abc import Callable, Iterator, Sequence
from concurrent.futures import ProcessPoolExecutor
from contextlib import contextmanager
from multiprocessing import get_context
from typing import ParamSpec, TypeVar

T = TypeVar("T")
P = ParamSpec("P")


def apart(function: Callable[P, T], *args: P.args, **kwargs: P.kwargs) -> T:
    """Run a module's function in a new process, and give what it gives."""
    with ProcessPoolExecutor(1, mp_context=get_context("spawn")) as pool:
        return pool.submit(function, *args, **kwargs).result()


def spread(function: Callable[..., T], arguments: Sequence[tuple[object, ...]]) -> list[T]:
    """Run a function once with each of the arguments, all at once, each in a new process."""
    with ProcessPoolExecutor(len(arguments), mp_context=get_context("spawn")) as pool:
        return [future.result() for future in [pool.submit(function, *given) for given in arguments]]


@contextmanager
def beside(function: Callable[P, T], *args: P.args, **kwargs: P.kwargs) -> Iterator[None]:
    """Run a function in a new process beside the block, and await its end."""
    with ProcessPoolExecutor(1, mp_context=get_context("spawn")) as pool:
        future = pool.submit(function, *args, **kwargs)
        yield
        future.result()
