"""What `bench/results.json` says, in docs/performance.md between two marks, and its plots."""

from collections.abc import Mapping, Sequence
from pathlib import Path
from statistics import median
from typing import Any, Final

from bench.figures import samples_of
from bench.plots import CEILING, OTHER, OURS, Bar, Curve, bars, curves
from bench.size import Samples
from bench.targets import rows

DOCUMENT: Final = Path(__file__).parents[1] / "docs" / "performance.md"
PLOTS: Final = DOCUMENT.with_name("plots")
BEGIN: Final = "<!-- figures: made by `make bench` from bench/results.json -->"
END: Final = "<!-- end of figures -->"

_WHAT: Final = ("what", "figure", "ceiling", "ratio", "at least", "aim", "spread", "verdict")


def write(results: Mapping[str, Any]) -> None:
    """Put figures and plots where readers look."""
    samples = samples_of(results)
    drawn = plots(samples)
    PLOTS.mkdir(exist_ok=True)
    for name, svg in drawn.items():
        (PLOTS / f"{name}.svg").write_text(svg, encoding="utf-8")
    text = DOCUMENT.read_text(encoding="utf-8")
    DOCUMENT.write_text(replaced(text, block(results, list(drawn))), encoding="utf-8")


def replaced(text: str, block: str) -> str:
    """Give a document with another block between the marks."""
    before, rest = text.split(BEGIN)
    _, after = rest.split(END)
    return f"{before}{BEGIN}\n\n{block}\n{END}{after}"


def block(results: Mapping[str, Any], drawn: Sequence[str]) -> str:
    """Give the table, the machine, and links to the plots."""
    machine, versions = results["machine"], results["versions"]
    samples = samples_of(results)
    place = f"{machine['cores']} cores of {machine['cpu']}, {machine['memory_gb']} GB, {machine['system']}"
    lines = [
        f"{place}; measured {machine['measured']}.",
        ", ".join(f"{name} {version}" for name, version in versions.items()) + ".",
        "",
        f"| {' | '.join(_WHAT)} |",
        "|" + "---|" * len(_WHAT),
    ]
    for row in rows(samples):
        cells = (row.what, row.figure, row.ceiling, row.ratio, row.at_least, row.aim, row.spread, row.verdict)
        lines.append(f"| {' | '.join(cells)} |")
    lines.append("")
    for name in drawn:
        lines += [f"![{name}](plots/{name}.svg)", ""]
    return "\n".join(lines)


def plots(samples: Samples) -> dict[str, str]:
    """Draw what has been measured."""
    found = {
        "throughput": _throughput(samples),
        "traces": _traces(samples),
        "latency": _latency(samples),
        "workers": _workers(samples),
    }
    return {name: svg for name, svg in found.items() if svg}


def _bars(samples: Samples, names: Mapping[str, tuple[str, str]]) -> list[Bar]:
    return [
        Bar(what, median(samples[name]), min(samples[name]), max(samples[name]), colour)
        for name, (what, colour) in names.items()
        if samples.get(name)
    ]


def _throughput(samples: Samples) -> str:
    given = _bars(
        samples,
        {
            "getmany_per_s": ("aiokafka getmany, nothing done", CEILING),
            "discard_4_per_s": ("discarding sink, 4 processes", OURS),
            "discard_per_s": ("discarding sink, 1 process", OURS),
            "copy_per_s": ("COPY into MLflow's table", CEILING),
            "raw_bulk_at_once_per_s": ("raw bulk requests, several at once", CEILING),
            "raw_bulk_per_s": ("raw bulk requests, one after another", CEILING),
            "bulk_per_s": ("bulk, end to end", OURS),
            "phoenix_sync_per_s": ("Phoenix, sync=true", OTHER),
            "raw_rest_per_s": ("raw requests, one by one", CEILING),
            "rest_per_s": ("REST, end to end", OURS),
            "log_feedback_per_s": ("log_feedback in threads", OTHER),
            "naive_per_s": ("search and log_feedback, 1 M traces", OTHER),
        },
    )
    return bars("Throughput, each beside its ceiling", "a second; grey: ceilings", given) if given else ""


def _traces(samples: Samples) -> str:
    labels = {"1k": "1 k traces", "100k": "100 k", "1m": "1 M"}
    ways = (
        ("search, then log_feedback", OTHER, ("naive_1k_per_s", "naive_100k_per_s", "naive_per_s")),
        ("the pipeline", OURS, tuple(f"pipeline_{label}_per_s" for label in labels)),
    )
    given = [
        Curve(what, [1000 / median(samples[name]) for name in names], colour)
        for what, colour, names in ways
        if all(samples.get(name) for name in names)
    ]
    title = "What a feedback costs, by the number of traces in MLflow"
    return curves(title, "milliseconds for each, at full load", list(labels.values()), given) if given else ""


def _latency(samples: Samples) -> str:
    given = _bars(
        samples,
        {
            "latency_quiet_p50_ms": ("quiet, p50", OURS),
            "latency_quiet_p99_ms": ("quiet, p99", OURS),
            "latency_half_load_p50_ms": ("half load, p50", OURS),
            "latency_half_load_p99_ms": ("half load, p99", OURS),
        },
    )
    return bars("From publish to visible in MLflow", "milliseconds", given) if given else ""


def _workers(samples: Samples) -> str:
    given = _bars(
        samples,
        {
            f"workers_{label}_{count}_per_s": (f"{many}, {count} worker{'s' * (count > 1)}", colour)
            for label, many, colour in (("many", "12 partitions", OURS), ("one", "1 partition", CEILING))
            for count in (1, 2, 4)
        },
    )
    title = "Workers, against a sink of 20 ms, 16 writes at once in each"
    return bars(title, "records a second", given) if given else ""
