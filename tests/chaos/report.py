"""What a chaos run prints: a row for each seed, and a Markdown table at the end."""

from collections import Counter
from collections.abc import Iterator, Sequence
from typing import Final

from chaos.run import Result

_COLUMNS: Final = (
    "seed",
    "faults",
    "events",
    "assessments",
    "redelivered",
    "parked",
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
        len(result.schedule.faults),
        counts["records"],
        counts["assessments"],
        counts["redelivered"],
        counts["parked"],
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
    wrong = sum((result.wrong for result in results), Counter[str]())
    counts = sum((result.ledger.counts for result in results), Counter[str]())
    yield ""
    yield (
        f"{len(results)} seeds, {sum(kinds.values())} faults, {counts['records']} events, "
        f"{counts['redelivered']} redelivered, {counts['parked']} parked, "
        f"{counts['rewinds']} commits that went back; lost {wrong['lost']}, doubled {wrong['doubled']}, "
        f"stale {wrong['stale']}, wrong outcomes {wrong['outcome'] + wrong['letter']}, "
        f"early commits {wrong['commit']}; {sum(result.seconds for result in results) / 60:.1f} minutes"
    )
