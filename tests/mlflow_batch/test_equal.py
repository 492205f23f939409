"""What is logged in bulk is stored as `log_feedback` and `log_expectation` store it, column by column."""

from typing import Any

import mlflow
import pytest
from mlflow.entities import Assessment, AssessmentSource, Expectation, Feedback
from mlflow.tracking._tracking_service.utils import _use_tracking_uri
from support.bulk import AT, Bulk, TraceOf, an_item, marks, new_id

VALUES: list[tuple[str, Any]] = [
    *(
        ("feedback", value)
        for value in (
            True,
            False,
            0,
            1,
            -7,
            4.5,
            -0.0,
            2**53,
            1e300,
            "",
            "yes",
            " No ",
            'a "b" \\ \t ü 👍 \u2028',
            None,
            [],
            [1, "a", True, 2.5],
            {},
            {"b": 1, "a": [1, {"c": None}]},
        )
    ),
    *(
        ("expectation", value)
        for value in (True, 3, 4.5, "no", "Zürich", [], [1, 2.5, [None]], {"b": 1, "a": {"c": [2]}})
    ),
]

EXTRAS: list[dict[str, Any]] = [
    {},
    {"source_id": None, "source_type": "CODE", "span_id": "b6e4728f60ceafce"},
    {
        "source_type": "LLM_JUDGE",
        "rationale": 'weil "es" so ist\n☞ ja',
        "metadata": {"ü": "ä", "mlflow.assessment.sourceRunId": "a" * 32},
        "name": "n" * 250,
    },
    {"rationale": "", "span_id": "", "source_id": ""},
]


@pytest.mark.parametrize("extra", EXTRAS, ids=["plain", "a span", "a run", "empty texts"])
@pytest.mark.parametrize(("kind", "value"), VALUES, ids=repr)
def test_each_column_is_the_same(
    bulk: Bulk, new_trace: TraceOf, kind: str, value: object, extra: dict[str, Any]
) -> None:
    trace_id = new_trace()
    item = an_item(trace_id, 0, **{"kind": kind, "value": value, "source_id": "anna"} | extra)
    (status,) = bulk.statuses(item)
    assert status == "logged"
    twin = _one_by_one(bulk, item)
    ours, theirs = bulk.row(item["assessment_id"]), bulk.row(twin)
    assert ours is not None
    assert theirs is not None
    assert ours | {"assessment_id": ""} == theirs | {"assessment_id": ""}


def _one_by_one(bulk: Bulk, item: dict[str, Any]) -> str:
    """Log the same by MLflow's own client, under another id."""
    common: dict[str, Any] = {
        "name": item["name"],
        "value": item["value"],
        "source": AssessmentSource(source_type=item["source_type"], source_id=item["source_id"]),
        "metadata": item["metadata"],
        "span_id": item.get("span_id"),
        "create_time_ms": AT,
        "last_update_time_ms": AT,
    }
    if item["kind"] == "expectation":
        assessment: Assessment = Expectation(**common)
    else:
        assessment = Feedback(**common, rationale=item.get("rationale"))
    assessment.assessment_id = new_id()
    with _use_tracking_uri(bulk.url):
        return str(mlflow.log_assessment(item["trace_id"], assessment).assessment_id)


def test_an_edit_is_what_update_assessment_makes_but_for_what_is_gone(bulk: Bulk, new_trace: TraceOf) -> None:
    item = an_item(new_trace(), 0, rationale="good", metadata={"gone": "1", "kept": "1", "mlflow.own": "1"})
    bulk.write(item)
    before = bulk.row(item["assessment_id"])
    assert before is not None
    edit = item | {"value": 3, "metadata": {"kept": "2", **marks(1)}, "timestamp_ms": AT + 1000}
    del edit["rationale"]
    assert bulk.statuses(edit) == ["logged"]
    after = bulk.row(item["assessment_id"])
    assert after is not None
    assert after.pop("last_updated_timestamp") > before.pop("last_updated_timestamp")
    assert after == before | {
        "value": "3.0",
        "aggregate_value": 3.0,
        "is_numeric_value": True,
        "rationale": None,
        "assessment_metadata": {"kept": "2", "mlflow.own": "1", **edit["metadata"]},
    }


def test_an_override_that_is_withdrawn_gives_way(bulk: Bulk, new_trace: TraceOf) -> None:
    """As delete_assessment does."""
    first = an_item(new_trace())
    bulk.write(first)
    override = Feedback(name="helpful", value=False, overrides=first["assessment_id"])
    override.metadata = marks(0)
    override.assessment_id = new_id()
    with _use_tracking_uri(bulk.url):
        mlflow.log_assessment(first["trace_id"], override)
    assert (bulk.row(first["assessment_id"]) or {})["valid"] is False
    withdrawal = {
        "op": "withdraw",
        "assessment_id": override.assessment_id,
        "trace_id": first["trace_id"],
        "metadata": marks(1),
    }
    assert bulk.statuses(withdrawal) == ["withdrawn"]
    assert (bulk.row(first["assessment_id"]) or {})["valid"] is True
