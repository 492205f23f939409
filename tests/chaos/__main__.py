"""`make chaos SEEDS=30 EVENTS=20000`: many seeds on one stack; exit status 1 when an invariant fails."""

import argparse
import os
import signal
import sys
import time
from collections.abc import Sequence
from pathlib import Path
from types import FrameType
from typing import Final, Literal, get_args

from chaos.report import failures, header, row, table
from chaos.run import Result, run_seed, the_cluster
from chaos.schedule import Schedule, Sink

ROOT = Path(__file__).parents[2]

_MIXED: Final = 4
_REST_SHARE: Final = 5
"""MLflow takes some 130 writes a second one by one, and so such a seed has a fifth of the events."""

Mode = Literal["auto", "rest", "mixed"]


def seeds_of(text: str) -> list[int]:
    """Take ``30`` as seeds 1 to 30, ``5..9`` as a range, ``3,9`` as those seeds alone."""
    if ".." in text:
        first, last = text.split("..")
        return list(range(int(first), int(last) + 1))
    if "," in text:
        return [int(part) for part in text.split(",") if part]
    return list(range(1, int(text) + 1))


def sink_of(seed: int, mode: Mode) -> Sink:
    """Give the sink of a seed; mixed, every fourth writes one by one."""
    if mode == "mixed":
        return "auto" if seed % _MIXED else "rest"
    return mode


def events_of(sink: Sink, events: int) -> int:
    """Give how many events a seed has."""
    return events if sink == "auto" else events // _REST_SHARE


def end_as_by_ctrl_c() -> None:
    """Have SIGTERM end the run as Ctrl-C does: stack and consumers are ended, and then we are.

    Whoever tells `make` tells us twice, itself and by make: a second one must not break off the clearing up.
    """

    def interrupt(number: int, frame: FrameType | None) -> None:
        del frame
        signal.signal(number, signal.SIG_IGN)
        signal.raise_signal(signal.SIGINT)

    signal.signal(signal.SIGTERM, interrupt)
    # Who is started in a shell's background has inherited that it is to ignore SIGINT.
    signal.signal(signal.SIGINT, signal.default_int_handler)


def main(arguments: Sequence[str] | None = None) -> int:
    """Run the seeds; gives the exit status."""
    parser = argparse.ArgumentParser(prog="make chaos", description=__doc__)
    parser.add_argument("--seeds", default="30", help="30: seeds 1 to 30; 5..9; 3,9")
    parser.add_argument("--seed", type=int, help="this seed alone")
    parser.add_argument(
        "--events", type=int, default=20_000, help="records of each seed; a fifth where it is rest"
    )
    parser.add_argument(
        "--sink", choices=get_args(Mode), default="auto", help="auto: in bulk; mixed: every fourth seed rest"
    )
    parser.add_argument("--length", type=float, help="seconds of each schedule; drawn where not given")
    parser.add_argument("--faults", type=int, help="faults of each schedule; drawn where not given")
    parser.add_argument("--folder", type=Path, default=ROOT / ".local" / "chaos", help="logs and the stack")
    parser.add_argument("--keep", action="store_true", help="leave the stack running for the next time")
    given = parser.parse_args(arguments)
    end_as_by_ctrl_c()
    os.environ.setdefault("FEEDBACK_LOCAL_CACHE_DIR", str(ROOT / ".local" / "cache"))
    results: list[Result] = []
    with the_cluster(given.folder / "stack", keep=given.keep) as stack:
        for seed in seeds_of(given.seeds) if given.seed is None else [given.seed]:
            sink = sink_of(seed, given.sink)
            schedule = Schedule.from_seed(seed, length=given.length, faults=given.faults, sink=sink)
            print(schedule, flush=True)  # noqa: T201 - a command's output
            folder = given.folder / f"{time.strftime('%m%d-%H%M%S')}-seed-{seed}"
            results.append(run_seed(stack, schedule, events=events_of(sink, given.events), folder=folder))
            print("\n".join([header(), row(results[-1]), *failures(results[-1])]), flush=True)  # noqa: T201
    print("\n".join(["", *table(results)]))  # noqa: T201
    failed = [result for result in results if result.ledger.differences]
    for result in failed:
        print(f"seed {result.schedule.seed} failed: {dict(result.wrong)}; see {result.folder}")  # noqa: T201
    return 1 if failed else 0


if __name__ == "__main__":
    sys.exit(main())
