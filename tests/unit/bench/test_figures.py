from bench.figures import (
    FIGURES,
    RATIOS,
    merge,
    percentile,
    ratio_runs,
    samples_of,
    spread,
    to_results,
)

SAMPLES = {
    "bulk_per_s": [6000.0, 6600.0, 6300.0],
    "raw_bulk_per_s": [8000.0, 8000.0, 9000.0],
    "raw_rest_per_s": [150.0, 120.0, 140.0],
    "log_feedback_per_s": [100.0, 132.0, 90.0],
}


def test_a_percentile_is_one_of_the_values() -> None:
    values = [float(number) for number in range(100, 0, -1)]
    assert [percentile(values, share) for share in (0, 1, 50, 99, 100)] == [1, 1, 50, 99, 100]
    assert percentile([7.0], 99) == 7
    assert percentile([1.0, 2.0, 3.0], 50) == 2


def test_the_spread_is_a_share_of_the_median() -> None:
    assert spread([90, 100, 115]) == 0.25
    assert spread([100]) == 0


def test_a_ratio_is_made_run_by_run() -> None:
    assert ratio_runs(RATIOS["bulk_vs_raw_bulk"], SAMPLES) == [0.75, 0.825, 0.7]


def test_runs_that_were_not_in_turns_are_compared_by_their_medians() -> None:
    samples = SAMPLES | {"raw_bulk_per_s": [7000.0]}
    assert ratio_runs(RATIOS["bulk_vs_raw_bulk"], samples) == [0.9]


def test_a_ratio_of_what_was_not_measured_has_no_runs() -> None:
    assert ratio_runs(RATIOS["rest_vs_raw_rest"], SAMPLES) == []
    assert ratio_runs(RATIOS["rest_vs_raw_rest"], SAMPLES | {"rest_per_s": []}) == []


def test_the_cost_is_above_one_where_many_traces_make_it_slower() -> None:
    samples = {"pipeline_1k_per_s": [6000.0], "pipeline_1m_per_s": [5000.0]}
    assert ratio_runs(RATIOS["cost_1m_vs_1k"], samples) == [1.2]


def test_results_hold_these_names_and_no_more() -> None:
    every = {name: [1.0, 2.0, 4.0] for name in FIGURES}
    every |= {name: [1.0, 2.0, 4.0] for more in FIGURES.values() for name in more}
    every |= {f"workers_{label}_{n}_per_s": [1.0, 2.0, 4.0] for label in ("many", "one") for n in (1, 2, 4)}
    results = to_results(every, {"cores": 2}, {"mlflow": "3.17.2"})
    assert set(results) == {"machine", "versions", "ratios", "figures"}
    assert set(results["ratios"]) == {
        "bulk_vs_log_feedback",
        "bulk_vs_raw_bulk",
        "rest_vs_raw_rest",
        "cost_1m_vs_1k",
        "workers_4_vs_1",
        "bulk_vs_phoenix",
        "raw_bulk_vs_copy",
        "api_vs_bare",
    }
    assert set(results["figures"]) == {
        "bulk_per_s",
        "raw_bulk_per_s",
        "rest_per_s",
        "raw_rest_per_s",
        "discard_per_s",
        "latency_half_load_p99_ms",
        "latency_quiet_p50_ms",
        "rss_backlog_mb",
        "phoenix_sync_per_s",
        "naive_per_s",
        "copy_per_s",
        "api_per_s",
        "api_p99_ms",
        "streams_s",
        "streams_rss_mb",
    }
    assert results["figures"]["bulk_per_s"] == {"median": 2.0, "runs": [1.0, 2.0, 4.0]}
    assert samples_of(results) == every


def test_four_digits_are_kept() -> None:
    results = to_results({"bulk_per_s": [6543.217], "rss_backlog_mb": [0.0123456]}, {}, {})
    assert results["figures"]["bulk_per_s"]["runs"] == [6543]
    assert results["figures"]["rss_backlog_mb"]["runs"] == [0.01235]


def test_what_is_measured_again_takes_the_place_of_the_old() -> None:
    assert merge({"a": [1.0, 2.0], "b": [3.0]}, {"a": [4.0]}) == {"a": [4.0], "b": [3.0]}
