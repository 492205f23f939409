"""All benchmarks: ``python -m bench [--only NAME,…] [--runs N] [--quick]``.

Prints the table, and writes `bench/results.json`, docs/performance.md, which tells of each, and its plots.
Exit status 1 when something that must be reached is not.
"""

import argparse
import json
import os
import sys
import time
from collections.abc import Iterator, Mapping, Sequence
from contextlib import ExitStack
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Final

from rich.console import Console
from rich.table import Table

from bench import document
from bench.alone import discard, memory, workers
from bench.api import api
from bench.bulk import bulk
from bench.figures import merge, samples_of, to_results
from bench.latency import latency
from bench.machine import machine, versions
from bench.peers import peers, phoenix_version
from bench.rest import rest
from bench.rig import Rig, the_rig
from bench.size import QUICK, Measure, Samples, Size
from bench.streams import streams
from bench.targets import is_under, rows
from bench.traces import traces
from local.home import CACHE_VARIABLE

MEASURES: Final[Mapping[str, Measure]] = {
    "rest": rest,
    "bulk": bulk,
    "latency": latency,
    "discard": discard,
    "workers": workers,
    "memory": memory,
    "traces": traces,
    "api": api,
    "streams": streams,
    "peers": peers,
}

TOGETHER: Final = (
    ("rest", "bulk", "latency"),
    ("discard", "workers", "memory"),
    ("traces",),
    ("api",),
    ("streams",),
    ("peers",),
)
"""What is measured in turns, so that a machine that gets slower or faster does so for all of them."""

RESULTS: Final = Path(__file__).with_name("results.json")
_QUICK_RESULTS: Final = Path(".bench/quick.json")
_FOLDER: Final = Path(".bench/stack")
"""Not below `.local`: the stack of `feedback local` wants that for itself."""

_WIDTH: Final = 170


@dataclass(frozen=True, slots=True)
class Given:
    """What the command line asks for."""

    only: Sequence[str]
    runs: int
    is_quick: bool


def main() -> int:
    """Measure, print, write."""
    given = _parse()
    results = _QUICK_RESULTS if given.is_quick else RESULTS
    new = json.loads(results.read_text()) if results.exists() else {}
    results.parent.mkdir(exist_ok=True)
    for new in measured(given, new):  # noqa: B020 - the old ones are asked for once
        results.write_text(json.dumps(new, indent=2) + "\n")
    if not new:
        sys.stderr.write("nothing has been measured yet: make bench\n")
        return 1
    if not given.is_quick:
        document.write(new)
    samples = samples_of(new)
    _show(samples)
    return 1 if is_under(samples) else 0


def measured(given: Given, old: Mapping[str, Any]) -> Iterator[dict[str, Any]]:
    """Give the results, with the old ones of what is not measured now, as often as something is done."""
    if not given.only:
        return
    os.environ.setdefault(CACHE_VARIABLE, str(Path(".local/cache").absolute()))
    samples = samples_of(old)
    size = QUICK if given.is_quick else Size()
    with the_rig(_FOLDER.absolute()) as rig:
        found = versions(rig) | ({"phoenix": phoenix_version()} if "peers" in given.only else {})
        for group in TOGETHER:
            if names := [name for name in group if name in given.only]:
                samples = merge(samples, _in_turns(rig, size, names, given.runs, samples))
                yield to_results(samples, machine(), {**old.get("versions", {}), **found})


def _in_turns(
    rig: Rig, size: Size, names: Sequence[str], runs: int, known: Samples
) -> dict[str, list[float]]:
    samples: dict[str, list[float]] = {}
    with ExitStack() as stack:
        ready = {}
        for name in names:
            began = time.monotonic()
            ready[name] = stack.enter_context(MEASURES[name](rig, size))
            _tell(f"{name}: prepared in {time.monotonic() - began:.0f} s")
        for number in range(1, runs + 1):
            for name, run in ready.items():
                began = time.monotonic()
                found = run(merge(known, samples))
                for sample, value in found.items():
                    samples.setdefault(sample, []).append(value)
                told = "  ".join(f"{sample} {value:,.1f}" for sample, value in found.items())
                _tell(f"{name}, run {number} in {time.monotonic() - began:.0f} s: {told}")
    return samples


def _tell(line: str) -> None:
    sys.stderr.write(f"{line}\n")


def _show(samples: Samples) -> None:
    table = Table("what", "figure", "ceiling", "ratio", "at least", "aim", "spread", "verdict")
    for row in rows(samples):
        table.add_row(
            row.what, row.figure, row.ceiling, row.ratio, row.at_least, row.aim, row.spread, row.verdict
        )
    console = Console()
    (console if console.is_terminal else Console(width=_WIDTH)).print(table)


def _parse() -> Given:
    parser = argparse.ArgumentParser(prog="python -m bench", description=__doc__)
    everything = [name for name in MEASURES if name != "peers"]
    parser.add_argument("--only", help=f"some of {','.join(MEASURES)}; the rest stays as it was measured")
    parser.add_argument("--runs", type=int, default=3)
    parser.add_argument("--quick", action="store_true", help="little of all, to see that it works; not kept")
    parser.add_argument("--document", action="store_true", help="measure nothing: table, document and plots")
    found = parser.parse_args()
    only = [] if found.document else found.only.split(",") if found.only else everything
    if unknown := set(only) - set(MEASURES):
        parser.error(f"no such measure: {', '.join(sorted(unknown))}")
    return Given(only, found.runs, found.quick)


if __name__ == "__main__":
    sys.exit(main())
