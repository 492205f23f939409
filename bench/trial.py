"""Which concurrency, and which size of request, a client is the fastest with."""

import sys
from collections.abc import Callable, Mapping, Sequence
from statistics import fmean
from typing import TypeVar

T = TypeVar("T")


def in_turns(clean: Callable[[], None], measures: Mapping[str, Callable[[], float]]) -> dict[str, float]:
    """Measure one after the other, each from a clean start."""
    found = {}
    for name, measure in measures.items():
        clean()
        found[name] = measure()
    return found


def mean_rate(rates: Sequence[float]) -> float:
    """Give the rate of the whole, of which each part took its own."""
    return len(rates) / sum(1 / rate for rate in rates)


def fastest(what: str, options: Sequence[T], measure: Callable[[T], float]) -> T:
    """Give the option with the highest rate; all are told, as the ceiling depends on it.

    There and back again: a machine that becomes slower or faster meanwhile favours none.
    """
    there = [measure(option) for option in options]
    back = [measure(option) for option in reversed(options)]
    rates = [fmean(pair) for pair in zip(there, reversed(back), strict=True)]
    best = max(zip(rates, range(len(options)), strict=True))[1]
    told = "  ".join(f"{option}: {rate:,.0f}" for option, rate in zip(options, rates, strict=True))
    sys.stderr.write(f"{what}, a second at {told}; taken: {options[best]}\n")
    return options[best]
