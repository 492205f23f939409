"""The newest version wins, in whatever order and from however many callers they come."""

import random
from concurrent.futures import ThreadPoolExecutor

import mlflow
import pytest
from mlflow.entities import Feedback
from mlflow.tracking._tracking_service.utils import _use_tracking_uri
from support.bulk import Bulk, TraceOf, a_withdrawal, an_item, marks, new_id

CALLERS = 6


def value_of(bulk: Bulk, assessment_id: str) -> object:
    row = bulk.row(assessment_id)
    return None if row is None else row["value"]


def test_the_same_again_an_older_and_a_newer_one(bulk: Bulk, new_trace: TraceOf) -> None:
    item = an_item(new_trace(), 5, event=5, value="five")
    older = item | {"metadata": marks(4.999999, 9), "value": "older"}
    newer = item | {"metadata": marks(5.000001, 1), "value": "newer"}
    assert bulk.statuses(item) == ["logged"]
    assert bulk.statuses(item) == ["already_there"]
    assert bulk.statuses(older) == ["superseded"]
    assert value_of(bulk, item["assessment_id"]) == '"five"'
    assert bulk.statuses(newer) == ["logged"]
    assert bulk.statuses(item) == ["superseded"]
    assert value_of(bulk, item["assessment_id"]) == '"newer"'


def test_of_the_same_time_the_greater_event_wins(bulk: Bulk, new_trace: TraceOf) -> None:
    item = an_item(new_trace(), 5, event=5, value="five")
    assert bulk.statuses(item) == ["logged"]
    assert bulk.statuses(item | {"metadata": marks(5, 4), "value": "four"}) == ["superseded"]
    assert bulk.statuses(item | {"metadata": marks(5, 6), "value": "six"}) == ["logged"]
    assert value_of(bulk, item["assessment_id"]) == '"six"'


def test_a_late_create_does_not_come_back_after_a_withdrawal(bulk: Bulk, new_trace: TraceOf) -> None:
    item = an_item(new_trace(), 5)
    assert bulk.statuses(a_withdrawal(item, 6)) == ["withdrawn"]
    assert bulk.statuses(item) == ["superseded"]
    assert bulk.row(item["assessment_id"]) is None
    assert bulk.statuses(item | {"metadata": marks(7)}) == ["logged"]
    assert bulk.statuses(a_withdrawal(item, 6.5)) == ["superseded"]
    assert bulk.row(item["assessment_id"]) is not None
    gone = a_withdrawal(item, 8)
    assert bulk.statuses(gone, gone) == ["withdrawn", "withdrawn"]
    assert bulk.row(item["assessment_id"]) is None


def test_of_several_in_one_request_the_newest_is_written(bulk: Bulk, new_trace: TraceOf) -> None:
    item = an_item(new_trace(), 5, value="five")
    later = item | {"metadata": marks(7), "value": "seven"}
    assert bulk.statuses(item, later, later, a_withdrawal(item, 6)) == [
        "superseded",
        "logged",
        "logged",
        "superseded",
    ]
    assert value_of(bulk, item["assessment_id"]) == '"seven"'


def test_what_tells_of_no_version_is_older_than_everything(bulk: Bulk, new_trace: TraceOf) -> None:
    trace_id = new_trace()
    with _use_tracking_uri(bulk.url):
        by_hand = mlflow.log_feedback(trace_id=trace_id, name="helpful", value=False)
    item = an_item(trace_id, assessment_id=by_hand.assessment_id)
    assert bulk.statuses(item) == ["logged"]
    assert value_of(bulk, item["assessment_id"]) == "true"


@pytest.mark.parametrize("version", ["yesterday", "2026-13-99T99:99:99+00:00", "9999"])
def test_a_stored_version_that_is_none_does_no_harm(bulk: Bulk, new_trace: TraceOf, version: str) -> None:
    trace_id = new_trace()
    with _use_tracking_uri(bulk.url):
        by_hand = mlflow.log_feedback(
            trace_id=trace_id, name="helpful", value=False, metadata={"feedback.version": version}
        )
    neighbour = an_item(trace_id)
    assert bulk.statuses(neighbour, an_item(trace_id, 9, assessment_id=by_hand.assessment_id))[0] == "logged"


def test_many_callers_at_once_end_with_the_newest(bulk: Bulk, new_trace: TraceOf) -> None:
    """Shuffled and overlapping, with withdrawals among them: no deadlock, nothing older stands."""
    randomness = random.Random(5)
    traces = [new_trace() for _ in range(5)]
    where = {new_id(): randomness.choice(traces) for _ in range(40)}
    versions = []
    newest = {}
    for assessment_id, trace_id in where.items():
        for second in range(12):
            item = an_item(trace_id, second, assessment_id=assessment_id, value=second)
            is_gone = randomness.random() < 0.25
            versions.append(a_withdrawal(item, second) if is_gone else item)
            newest[assessment_id] = None if is_gone else f"{second}.0"
    piles = [randomness.sample(versions, len(versions)) for _ in range(CALLERS)]

    def send(pile: list[dict[str, object]]) -> set[str]:
        told: set[str] = set()
        for start in range(0, len(pile), 60):
            told |= set(bulk.statuses(*pile[start : start + 60]))
        return told

    with ThreadPoolExecutor(CALLERS) as pool:
        told = set().union(*pool.map(send, piles))
    assert told <= {"logged", "already_there", "superseded", "withdrawn"}
    assert {key: value_of(bulk, key) for key in where} == newest


def test_what_is_not_written_supersedes_nothing(bulk: Bulk, new_trace: TraceOf) -> None:
    item, missing = an_item(new_trace(), 5), f"tr-{new_id()}"[:50]
    newer = item | {"trace_id": missing, "metadata": marks(6)}
    assert bulk.statuses(item, newer, item | {"metadata": marks(4)}) == [
        "logged",
        "no_such_trace",
        "superseded",
    ]
    assert bulk.row(item["assessment_id"]) is not None


def test_the_same_version_on_another_trace_is_another(bulk: Bulk, new_trace: TraceOf) -> None:
    item = an_item(new_trace(), 5)
    assert bulk.statuses(item, item | {"trace_id": new_trace()}, item) == ["logged", "invalid", "logged"]


def test_a_version_between_what_came_late_and_its_withdrawal(bulk: Bulk, new_trace: TraceOf) -> None:
    """MLflow's own endpoint knows no tombstones."""
    item = an_item(new_trace(), 5)
    assert bulk.statuses(a_withdrawal(item, 6)) == ["withdrawn"]
    late = Feedback(name="helpful", value=False, metadata=marks(4))
    late.assessment_id = item["assessment_id"]
    with _use_tracking_uri(bulk.url):
        mlflow.log_assessment(item["trace_id"], late)
    assert bulk.statuses(item) == ["superseded"]
    assert bulk.statuses(item | {"metadata": marks(7)}) == ["logged"]


def test_a_stored_time_without_an_event_is_no_version(bulk: Bulk, new_trace: TraceOf) -> None:
    trace_id = new_trace()
    time = {"feedback.version": marks(9)["feedback.version"]}
    with _use_tracking_uri(bulk.url):
        by_hand = mlflow.log_feedback(trace_id=trace_id, name="helpful", value=False, metadata=time)
    assert bulk.statuses(an_item(trace_id, 5, assessment_id=by_hand.assessment_id)) == ["logged"]
