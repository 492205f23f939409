"""One bad item never fails the others, whoever finds it bad: the plugin, MLflow's tables, or the database."""

import json
from collections.abc import Iterator
from typing import Any

import psycopg
import pytest
from support.bulk import Bulk, TraceOf, a_withdrawal, an_item, marks, mlflow_database, new_id
from support.stack import Stack

SECRET = "what-somebody-wrote"  # noqa: S105 - so that it can be looked for


def nested(levels: int) -> object:
    return 1 if not levels else {"a": nested(levels - 1)}


BAD: list[tuple[dict[str, Any], str]] = [
    ({"assessment_id": ""}, "assessment_id: is empty"),
    ({"assessment_id": "a" * 51}, "assessment_id: has 51 characters; the limit is 50"),
    ({"name": SECRET * 20}, "name: has 380 characters; the limit is 250"),
    ({"name": ""}, "name: is empty"),
    ({"source_id": "s" * 251}, "source_id: has 251 characters"),
    ({"span_id": "s" * 51}, "span_id: has 51 characters"),
    ({"source_type": "ROBOT"}, "source_type"),
    ({"kind": "issue"}, "kind"),
    ({"value": None, "kind": "expectation"}, "value: an expectation needs one"),
    ({"value": 10**400}, "value: the number is too large"),
    ({"value": [1, {"a": 10**400}]}, "value: the number is too large"),
    ({"rationale": f"{SECRET}\0"}, "rationale: holds NUL"),
    ({"metadata": {"a": "\0", **marks()}}, "metadata: holds NUL"),
    ({"metadata": {"a": 1, **marks()}}, "metadata"),
    ({"metadata": {}}, "feedback.version must be"),
    ({"metadata": marks() | {"feedback.version": "2026-01-31T12:00:00+02:00"}}, "feedback.version must be"),
    ({"metadata": marks() | {"feedback.version": "\u0662026-01-31T12:00:00+00:00"}}, "feedback.version must"),
    ({"value": nested(26)}, "value: is nested too deeply"),
    ({"value": nested(900)}, "value: is nested too deeply"),
    ({"metadata": marks() | {"feedback.event_id": SECRET}}, "feedback.event_id a UUID"),
    ({"metadata": {"mlflow.assessment.sourceRunId": "r" * 33, **marks()}}, "sourceRunId: has 33 characters"),
    ({"timestamp_ms": -1}, "timestamp_ms: must be"),
    ({"timestamp_ms": 10**18}, "timestamp_ms: must be"),
    ({"timestamp_ms": SECRET}, "timestamp_ms"),
    ({"op": SECRET}, "op"),
    ({"kind": SECRET}, "kind"),
    ({"metadata": SECRET}, "metadata"),
]


@pytest.mark.parametrize(("fields", "said"), BAD, ids=[said for _, said in BAD])
def test_a_bad_item_says_what_is_wrong_and_its_neighbours_are_logged(
    bulk: Bulk, new_trace: TraceOf, fields: dict[str, Any], said: str
) -> None:
    trace_id = new_trace()
    before, after = an_item(trace_id), an_item(trace_id)
    found = bulk.write(before, an_item(trace_id) | fields, after)
    assert [status for status, _ in found] == ["logged", "invalid", "logged"]
    assert said in found[1][1]
    assert SECRET not in found[1][1]


@pytest.mark.parametrize("item", [None, 3, "x", [], {}, {"op": "log"}])
def test_no_item_at_all(bulk: Bulk, new_trace: TraceOf, item: object) -> None:
    assert bulk.statuses(item, an_item(new_trace())) == ["invalid", "logged"]


def test_a_lone_surrogate(bulk: Bulk, new_trace: TraceOf) -> None:
    good = an_item(new_trace())
    text = f'{{"items": [{{"op": "log", "name": "\\ud800"}}, {json_of(good)}]}}'
    answer = bulk.ask("/assessments", content=text.encode()).raise_for_status().json()
    assert [outcome["status"] for outcome in answer["outcomes"]] == ["invalid", "logged"]


def test_nesting_without_end(bulk: Bulk, new_trace: TraceOf) -> None:
    good = an_item(new_trace())
    deep = "[" * 100_000 + "]" * 100_000
    text = f'{{"items": [{json_of(good)[:-1]}, "value": {deep}}}, {json_of(good)}]}}'
    answer = bulk.ask("/assessments", content=text.encode())
    assert answer.status_code in {200, 400}
    assert bulk.statuses(an_item(good["trace_id"])) == ["logged"]


def test_no_such_trace_and_the_id_of_somebody_else(bulk: Bulk, new_trace: TraceOf) -> None:
    item = an_item(new_trace())
    missing = an_item(f"tr-{new_id()}"[:50])
    assert bulk.write(item, missing, a_withdrawal(missing, 9))[1:] == [
        ("no_such_trace", ""),
        ("no_such_trace", ""),
    ]
    elsewhere = item | {"trace_id": new_trace(), "metadata": marks(1)}
    other_kind = item | {"kind": "expectation", "metadata": marks(1)}
    assert bulk.statuses(elsewhere, an_item(item["trace_id"])) == ["invalid", "logged"]
    assert bulk.statuses(other_kind) == ["invalid"]
    assert bulk.statuses(a_withdrawal(elsewhere, 9)) == ["invalid"]
    assert bulk.row(item["assessment_id"]) is not None


@pytest.mark.parametrize("there", [True, False])
@pytest.mark.parametrize("op", ["log", "withdraw"])
def test_what_stands_on_another_trace_says_on_which(
    bulk: Bulk, new_trace: TraceOf, op: str, *, there: bool
) -> None:
    item = an_item(new_trace())
    bulk.write(item)
    elsewhere = item | {"trace_id": new_trace() if there else f"tr-{new_id()}"[:50], "metadata": marks(1)}
    asked = elsewhere if op == "log" else a_withdrawal(elsewhere, 1)
    (outcome,) = bulk.outcomes(asked)
    assert outcome["trace_id"] == item["trace_id"]
    assert outcome["status"] == ("invalid" if there else "no_such_trace")
    (told,) = bulk.outcomes(asked | {"trace_id": outcome["trace_id"]})
    assert told == {"status": "logged" if op == "log" else "withdrawn"}


@pytest.fixture
def refusing_database(stack: Stack) -> Iterator[str]:
    """A database that cannot store one name, as with a broken disk page or a constraint of the operator's."""
    name = f"unstorable-{new_id()}"
    with psycopg.connect(mlflow_database(stack.postgres), autocommit=True) as session:
        session.execute(
            "CREATE FUNCTION refuse_one() RETURNS trigger LANGUAGE plpgsql AS $$ BEGIN"
            f" IF NEW.name = '{name}' THEN RAISE EXCEPTION 'cannot store %', NEW.rationale; END IF;"
            " RETURN NEW; END $$".encode()
        )
        session.execute(
            b"CREATE TRIGGER refuse_one BEFORE INSERT OR UPDATE ON assessments"
            b" FOR EACH ROW EXECUTE FUNCTION refuse_one()"
        )
        yield name
        session.execute(b"DROP FUNCTION refuse_one CASCADE")


@pytest.mark.parametrize("bulk", ["postgres"], indirect=True)
def test_one_that_the_database_cannot_store_among_a_thousand(
    bulk: Bulk, new_trace: TraceOf, refusing_database: str
) -> None:
    trace_id = new_trace()
    items = [an_item(trace_id) for _ in range(1000)]
    items[417] |= {"name": refusing_database, "rationale": SECRET}
    found = bulk.write(*items)
    assert {status for number, (status, _) in enumerate(found) if number != 417} == {"logged"}
    assert found[417][0] == "invalid"
    assert "the database refuses it" in found[417][1]
    assert SECRET not in found[417][1]
    (stored,) = bulk.query("SELECT count(*) AS count FROM assessments WHERE trace_id = ?", trace_id)
    assert stored["count"] == 999


@pytest.mark.parametrize("bulk", ["postgres"], indirect=True)
def test_a_table_that_is_gone_is_no_item_s_fault(bulk: Bulk, new_trace: TraceOf, stack: Stack) -> None:
    """As after a restore without it, or with rights that are missing: whatever is sent may be sent again."""
    items = [an_item(new_trace()) for _ in range(2)]
    assert bulk.statuses(items[0]) == ["logged"]
    with psycopg.connect(mlflow_database(stack.postgres), autocommit=True) as session:
        session.execute(b"ALTER TABLE feedback_batch_tombstones RENAME TO feedback_batch_hidden")
        try:
            answer = bulk.ask("/assessments", json={"items": items})
        finally:
            session.execute(b"ALTER TABLE feedback_batch_hidden RENAME TO feedback_batch_tombstones")
    assert (answer.status_code, answer.json()["error_code"]) == (503, "TEMPORARILY_UNAVAILABLE")
    assert bulk.statuses(*items) == ["already_there", "logged"]


def json_of(item: dict[str, Any]) -> str:
    return json.dumps(item)
