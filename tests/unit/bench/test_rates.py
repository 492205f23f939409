from collections.abc import Callable, Iterator

import pytest

from bench.rig import rate, steady_rate, wait_for


def counter(values: Iterator[int]) -> Callable[[], int]:
    return lambda: next(values)


def test_the_rate_is_of_what_came_after_the_first_that_was_seen() -> None:
    # It sleeps for half a second where nothing tells how long the rest takes.
    assert 0 < rate(counter(iter([0, 900, 900, 1000])), 1000, seconds=5) <= 100 / 0.5


def test_a_rate_that_ends_too_late_is_an_error() -> None:
    with pytest.raises(TimeoutError, match="all 100"):
        rate(lambda: 1, 100, seconds=0)


def test_a_backlog_that_ends_while_it_is_watched_is_an_error() -> None:
    with pytest.raises(RuntimeError, match="publish more"):
        steady_rate(lambda: 100, 100, seconds=0)


def test_a_steady_rate_is_of_the_time_that_was_watched() -> None:
    found = steady_rate(counter(iter([50, 60])), 100, seconds=0.05)
    assert 100 < found <= 200


def test_waiting_tells_what_for() -> None:
    with pytest.raises(TimeoutError, match="a miracle"):
        wait_for(lambda: False, seconds=0, what="a miracle")
