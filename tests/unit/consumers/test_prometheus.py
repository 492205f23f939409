"""The metrics as Prometheus reads them."""

from typing import get_args

import pytest
from prometheus_client import generate_latest
from prometheus_client.parser import text_string_to_metric_families

from consumers.prometheus import PrometheusMetrics
from pipeline.metrics import Metrics, timed
from pipeline.outcomes import DeadReason

Labels = tuple[tuple[str, str], ...]


@pytest.fixture
def metrics() -> PrometheusMetrics:
    return PrometheusMetrics()


def shown(metrics: PrometheusMetrics) -> dict[tuple[str, Labels], float]:
    text = generate_latest(metrics.registry).decode()
    return {
        (sample.name, tuple(sorted(sample.labels.items()))): sample.value
        for family in text_string_to_metric_families(text)
        for sample in family.samples
    }


def test_it_is_what_the_pipeline_is_given(metrics: PrometheusMetrics) -> None:
    given: Metrics = metrics
    assert given is metrics


def test_a_batch_is_counted_by_its_records(metrics: PrometheusMetrics) -> None:
    metrics.batch("chats", 3, 0.2)
    metrics.batch("chats", 4, 0.2)
    found = shown(metrics)
    assert found["feedback_records_total", (("consumer", "chats"),)] == 7
    assert found["feedback_batch_seconds_count", (("consumer", "chats"),)] == 2
    assert found["feedback_batch_seconds_sum", (("consumer", "chats"),)] == pytest.approx(0.4)


def test_outcomes_are_counted_with_their_reason(metrics: PrometheusMetrics) -> None:
    metrics.outcome("logged", "", 1)
    metrics.outcome("dead-lettered", "rejected", 1)
    metrics.outcome("dead-lettered", "rejected", 1)
    found = shown(metrics)
    assert found["feedback_outcomes_total", (("outcome", "logged"), ("reason", ""))] == 1
    assert found["feedback_outcomes_total", (("outcome", "dead-lettered"), ("reason", "rejected"))] == 2


def test_chats_are_counted(metrics: PrometheusMetrics) -> None:
    metrics.chats(indexed=5, dead=1)
    found = shown(metrics)
    assert found["feedback_chats_total", (("outcome", "indexed"),)] == 5
    assert found["feedback_chats_total", (("outcome", "dead-lettered"),)] == 1


def test_a_stage_is_measured(metrics: PrometheusMetrics) -> None:
    with timed(metrics, "log", 9):
        pass
    found = shown(metrics)
    assert found["feedback_stage_seconds_count", (("stage", "log"),)] == 1
    assert found["feedback_stage_items_total", (("stage", "log"),)] == 9


def test_what_is_away_is_shown_until_it_is_back(metrics: PrometheusMetrics) -> None:
    metrics.away("postgres", is_away=True)
    assert shown(metrics)["feedback_dependency_away", (("dependency", "postgres"),)] == 1
    metrics.away("postgres", is_away=False)
    assert shown(metrics)["feedback_dependency_away", (("dependency", "postgres"),)] == 0


def test_a_loop_is_shown_with_its_lag(metrics: PrometheusMetrics) -> None:
    metrics.loop("feedback", "feedback-submitted", age=2.5, lag=70)
    labels = (("consumer", "feedback"), ("topic", "feedback-submitted"))
    assert shown(metrics)["feedback_loop_age_seconds", labels] == 2.5
    assert shown(metrics)["feedback_lag_records", labels] == 70


def test_what_alerts_count_is_there_before_the_first_of_it(metrics: PrometheusMetrics) -> None:
    """Prometheus sees an increase only between two scrapes: the first dead letters would be missed."""
    found = shown(metrics)
    for reason in get_args(DeadReason):
        assert found["feedback_outcomes_total", (("outcome", "dead-lettered"), ("reason", reason))] == 0
    assert found["feedback_chats_total", (("outcome", "dead-lettered"),)] == 0
    assert found["feedback_dependency_away", (("dependency", "kafka"),)] == 0


def test_the_process_shows_when_it_began_and_its_memory(metrics: PrometheusMetrics) -> None:
    found = shown(metrics)
    assert found["process_start_time_seconds", ()] > 1_700_000_000
    assert found["process_resident_memory_bytes", ()] > 1_000_000
