"""What must be reached, the verdicts, and the table."""

from dataclasses import dataclass
from statistics import median
from typing import Final, Literal

from bench.figures import runs_of, spread
from bench.size import Samples

Verdict = Literal["aim", "at least", "UNDER", "not measured", ""]
"""``aim`` and ``at least`` are reached; ``UNDER`` is not; empty where nothing is asked for."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Line:
    """One line of the table: a figure beside its ceiling, and what of them must be reached.

    ``judged`` is a ratio or a sample.
    """

    what: str
    figure: str
    judged: str
    ceiling: str = ""
    ceiling_is: str = ""
    at_least: float | None = None
    aim: float | None = None
    is_cost: bool = False


LINES: Final = (
    Line(
        what="bulk, end to end",
        figure="bulk_per_s",
        ceiling="log_feedback_per_s",
        ceiling_is="log_feedback, best concurrency",
        judged="bulk_vs_log_feedback",
        at_least=40,
        aim=75,
    ),
    Line(
        what="bulk, end to end",
        figure="bulk_per_s",
        ceiling="raw_bulk_per_s",
        ceiling_is="raw bulk requests, one after another",
        judged="bulk_vs_raw_bulk",
        at_least=0.6,
        aim=0.9,
    ),
    Line(
        what="raw bulk requests, one after another",
        figure="raw_bulk_per_s",
        ceiling="copy_per_s",
        ceiling_is="COPY",
        judged="raw_bulk_vs_copy",
        at_least=0.25,
        aim=0.5,
    ),
    Line(
        what="bulk, end to end",
        figure="bulk_per_s",
        ceiling="raw_bulk_at_once_per_s",
        ceiling_is="raw bulk requests, several at once",
        judged="bulk_per_s",
    ),
    Line(
        what="REST, end to end",
        figure="rest_per_s",
        ceiling="raw_rest_per_s",
        ceiling_is="raw HTTP client",
        judged="rest_vs_raw_rest",
        at_least=0.9,
        aim=0.95,
    ),
    Line(
        what="discarding sink, one process",
        figure="discard_per_s",
        ceiling="getmany_per_s",
        ceiling_is="aiokafka getmany",
        judged="discard_per_s",
        at_least=8_000,
        aim=20_000,
    ),
    Line(
        what="pipeline at 1 M traces",
        figure="pipeline_1m_per_s",
        ceiling="pipeline_1k_per_s",
        ceiling_is="at 1 k traces",
        judged="cost_1m_vs_1k",
        at_least=1.1,
        aim=1.05,
        is_cost=True,
    ),
    Line(
        what="pipeline, feedback spread over 1 M traces",
        figure="pipeline_spread_per_s",
        ceiling="pipeline_1k_per_s",
        ceiling_is="at 1 k traces",
        judged="pipeline_spread_per_s",
    ),
    Line(
        what="publish to visible, half load, p99, ms",
        figure="latency_half_load_p99_ms",
        judged="latency_half_load_p99_ms",
        at_least=1_000,
        aim=500,
        is_cost=True,
    ),
    Line(
        what="publish to visible, quiet, p50, ms",
        figure="latency_quiet_p50_ms",
        judged="latency_quiet_p50_ms",
        at_least=150,
        aim=60,
        is_cost=True,
    ),
    Line(
        what="memory with a backlog of 1 M, MB",
        figure="rss_backlog_mb",
        judged="rss_backlog_mb",
        at_least=250,
        aim=200,
        is_cost=True,
    ),
    Line(
        what="discarding sink, four processes",
        figure="discard_4_per_s",
        ceiling="getmany_per_s",
        ceiling_is="aiokafka getmany",
        judged="discard_4_per_s",
    ),
    Line(
        what="4 workers, sink of 20 ms",
        figure="workers_many_4_per_s",
        ceiling="workers_many_1_per_s",
        ceiling_is="1 worker",
        judged="workers_4_vs_1",
    ),
    Line(
        what="search and log_feedback at 1 M traces",
        figure="naive_per_s",
        ceiling="naive_1k_per_s",
        ceiling_is="at 1 k traces",
        judged="naive_per_s",
    ),
    Line(
        what="feedback over HTTP, one process, 32 at once",
        figure="api_per_s",
        ceiling="bare_api_per_s",
        ceiling_is="bare FastAPI endpoint",
        judged="api_vs_bare",
    ),
    Line(
        what="feedback over HTTP, p99, ms",
        figure="api_p99_ms",
        ceiling="bare_api_p99_ms",
        ceiling_is="bare FastAPI endpoint",
        judged="api_p99_ms",
    ),
    Line(
        what="500 streams at once, p50 of an answer, s",
        figure="streams_s",
        ceiling="stream_alone_s",
        ceiling_is="one stream alone",
        judged="streams_s",
    ),
    Line(
        what="memory after 3,000 streams, MB",
        figure="streams_rss_mb",
        ceiling="streams_rss_first_round_mb",
        ceiling_is="after the first 500",
        judged="streams_rss_mb",
    ),
    Line(
        what="bulk, end to end, beside Phoenix",
        figure="bulk_beside_phoenix_per_s",
        ceiling="phoenix_sync_per_s",
        ceiling_is="Phoenix, sync=true",
        judged="bulk_vs_phoenix",
    ),
)


@dataclass(frozen=True, slots=True)
class Row:
    """A line with its numbers, as text."""

    what: str
    figure: str
    ceiling: str
    ratio: str
    at_least: str
    aim: str
    spread: str
    verdict: Verdict


def rows(samples: Samples) -> list[Row]:
    """Give the table."""
    return [_row(line, samples) for line in LINES]


def is_under(samples: Samples) -> bool:
    """Tell whether something that was measured is under its ``at least``."""
    return any(verdict(line, samples) == "UNDER" for line in LINES)


def verdict(line: Line, samples: Samples) -> Verdict:
    """Judge the median."""
    if not (runs := runs_of(line.judged, samples)):
        return "not measured"
    if line.at_least is None or line.aim is None:
        return ""
    value, sign = median(runs), -1 if line.is_cost else 1
    if value * sign >= line.aim * sign:
        return "aim"
    return "at least" if value * sign >= line.at_least * sign else "UNDER"


def _row(line: Line, samples: Samples) -> Row:
    figure = runs_of(line.figure, samples)
    ceiling = samples.get(line.ceiling)
    judged = runs_of(line.judged, samples)
    sign = "≤ " if line.is_cost else ""
    value = ""
    if judged and line.judged != line.figure:
        value = number(median(judged))
    elif figure and ceiling:
        value = number(median(figure) / median(ceiling))
    return Row(
        what=line.what,
        figure=number(median(figure)) if figure else "",
        ceiling=f"{number(median(ceiling))} ({line.ceiling_is})" if ceiling else "",
        ratio=value,
        at_least="" if line.at_least is None else sign + number(line.at_least),
        aim="" if line.aim is None else sign + number(line.aim),
        spread=f"{spread(judged):.0%}" if len(judged) > 1 else "",
        verdict=verdict(line, samples),
    )


def number(value: float) -> str:
    """Write a number with as many digits as anyone reads."""
    if value >= 100:  # noqa: PLR2004 - from here on without digits behind the point
        return f"{value:,.0f}"
    return f"{value:.3g}"
