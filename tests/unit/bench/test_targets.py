import pytest

from bench.figures import FIGURES, RATIOS
from bench.targets import LINES, Line, is_under, number, rows, verdict


def line_of(judged: str) -> Line:
    return next(line for line in LINES if line.judged == judged)


# The table, by hand.
MUST_REACH = {
    "bulk_vs_log_feedback": (40, 75),
    "bulk_vs_raw_bulk": (0.6, 0.9),
    "raw_bulk_vs_copy": (0.25, 0.5),
    "rest_vs_raw_rest": (0.9, 0.95),
    "discard_per_s": (8_000, 20_000),
    "cost_1m_vs_1k": (1.1, 1.05),
    "latency_half_load_p99_ms": (1_000, 500),
    "latency_quiet_p50_ms": (150, 60),
    "rss_backlog_mb": (250, 200),
}


def test_all_that_must_be_reached_is_judged() -> None:
    judged = {line.judged: (line.at_least, line.aim) for line in LINES if line.at_least is not None}
    assert judged == MUST_REACH


def test_each_line_is_of_something_that_is_measured() -> None:
    measured = {*FIGURES, *RATIOS, *(name for names in FIGURES.values() for name in names)}
    measured |= {name for ratio in RATIOS.values() for name in ratio.beside}
    assert {name for line in LINES for name in (line.figure, line.judged, line.ceiling)} <= {*measured, ""}


@pytest.mark.parametrize(
    ("runs", "expected"),
    [
        ([20_000], "aim"),
        ([19_999], "at least"),
        ([8_000], "at least"),
        ([7_999], "UNDER"),
        ([1, 8_000, 9_000], "at least"),
        ([], "not measured"),
    ],
)
def test_more_is_better(runs: list[float], expected: str) -> None:
    assert verdict(line_of("discard_per_s"), {"discard_per_s": runs}) == expected


@pytest.mark.parametrize(
    ("runs", "expected"), [([200], "aim"), ([200.1], "at least"), ([250], "at least"), ([250.1], "UNDER")]
)
def test_of_a_cost_less_is_better(runs: list[float], expected: str) -> None:
    assert verdict(line_of("rss_backlog_mb"), {"rss_backlog_mb": runs}) == expected


def test_a_line_without_a_target_is_not_judged() -> None:
    assert (
        verdict(line_of("bulk_vs_phoenix"), {"bulk_beside_phoenix_per_s": [1], "phoenix_sync_per_s": [9]})
        == ""
    )


def test_only_what_was_measured_can_be_under() -> None:
    assert not is_under({})
    assert not is_under({"discard_per_s": [8_000]})
    assert is_under({"discard_per_s": [7_999]})


def test_a_row_shows_the_figure_beside_its_ceiling() -> None:
    samples = {
        "bulk_per_s": [6000.0, 6600.0, 6300.0],
        "log_feedback_per_s": [150.0, 132.0, 140.0],
    }
    row = rows(samples)[0]
    assert (row.figure, row.ceiling) == ("6,300", "140 (log_feedback, best concurrency)")
    assert (row.ratio, row.at_least, row.aim, row.spread, row.verdict) == (
        "45",
        "40",
        "75",
        "22%",
        "at least",
    )


def test_a_row_of_what_was_not_measured_is_empty() -> None:
    row = rows({})[0]
    assert (row.figure, row.ceiling, row.ratio, row.spread, row.verdict) == ("", "", "", "", "not measured")


def test_numbers_have_as_many_digits_as_anyone_reads() -> None:
    assert [number(value) for value in (0.08839, 0.9, 45.21, 99.96, 154.6, 20_000)] == [
        "0.0884",
        "0.9",
        "45.2",
        "100",
        "155",
        "20,000",
    ]
