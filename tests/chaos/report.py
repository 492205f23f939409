"""What a chaos run prints: a row for each seed, and a Markdown table at the end."""

from collections import Counter
from collections.abc import Iterator, Sequence
from typing import Final, get_args

from chaos.proxy import Fate
from chaos.run import Result
from chaos.writes import WRITES

_FATES: Final[tuple[Fate, ...]] = get_args(Fate)
_COLUMNS: Final = (
    "seed",
    "sink",
    "faults",
    "events",
    "assessments",
    "redelivered",
    "parked",
    "bulk requests",
    "of them hit",
    "lost",
    "doubled",
    "stale",
    "wrong",
    "other",
    "settled after",
    "MiB",
    "seconds",
)
_SHOWN: Final = 60


def header() -> str:
    """Give the first two lines of the table."""
    return f"| {' | '.join(_COLUMNS)} |\n|{'---|' * len(_COLUMNS)}"


def row(result: Result) -> str:
    """Give the line of one seed."""
    counts, wrong = result.ledger.counts, result.wrong
    other = sum(wrong.values()) - sum(
        wrong[name] for name in ("lost", "doubled", "stale", "outcome", "letter")
    )
    cells = (
        result.schedule.seed,
        result.schedule.sink,
        len(result.schedule.faults),
        counts["records"],
        counts["assessments"],
        counts["redelivered"],
        counts["parked"],
        *_bulk(result),
        wrong["lost"],
        wrong["doubled"],
        wrong["stale"],
        wrong["outcome"] + wrong["letter"],
        other,
        f"{counts['settling']} s",
        round(result.peak_mib),
        round(result.seconds),
    )
    return f"| {' | '.join(str(cell) for cell in cells)} |"


def _bulk(result: Result) -> tuple[int, int]:
    """Count the bulk requests that were sent, and those that something happened to."""
    told = {fate: result.writes["bulk", fate] for fate in _FATES}
    hit = sum(count for fate, count in told.items() if fate != "answered")
    # What was held is counted a second time by what became of it then.
    return sum(told.values()) - told["held"], hit


def failures(result: Result) -> Iterator[str]:
    """Give what is wrong with one seed, line by line, and where its logs are."""
    differences = result.ledger.differences
    if differences:
        yield f"seed {result.schedule.seed} FAILED; logs, faults and all differences are in {result.folder}"
        yield from (f"  {difference}" for difference in differences[:_SHOWN])
        if len(differences) > _SHOWN:
            yield f"  and {len(differences) - _SHOWN} more"


def table(results: Sequence[Result]) -> Iterator[str]:
    """Give the whole table in Markdown, with all seeds together and the faults by kind."""
    yield header()
    for result in results:
        yield row(result)
    kinds = Counter(fault.kind for result in results for fault in result.schedule.faults)
    yield ""
    yield "| fault | times |\n|---|---|"
    for kind, times in sorted(kinds.items()):
        yield f"| {kind} | {times} |"
    yield ""
    yield from _writes(sum((result.writes for result in results), Counter[tuple[str, Fate]]()))
    wrong = sum((result.wrong for result in results), Counter[str]())
    counts = sum((result.ledger.counts for result in results), Counter[str]())
    yield ""
    yield (
        f"{len(results)} seeds, {sum(kinds.values())} faults, {counts['records']} events, "
        f"{counts['redelivered']} redelivered, {counts['parked']} parked, "
        f"{counts['killed in a transaction']} transactions in which MLflow was killed, "
        f"{counts['rewinds']} commits that went back; lost {wrong['lost']}, doubled {wrong['doubled']}, "
        f"stale {wrong['stale']}, wrong outcomes {wrong['outcome'] + wrong['letter']}, "
        f"early commits {wrong['commit']}; {sum(result.seconds for result in results) / 60:.1f} minutes"
    )


def _writes(counts: Counter[tuple[str, Fate]]) -> Iterator[str]:
    """Give what became of the requests that write into MLflow."""
    yield f"| writing requests | {' | '.join(_FATES)} |\n|{'---|' * (len(_FATES) + 1)}"
    for kind in WRITES:
        yield f"| {kind} | {' | '.join(str(counts[kind, fate]) for fate in _FATES)} |"
