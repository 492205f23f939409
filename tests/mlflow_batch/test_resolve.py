"""Many client request ids to their traces, in one call."""

import pytest
from support.bulk import AT, Bulk, TraceOf, new_id


def find(bulk: Bulk, traces: TraceOf, *ids: str, **given: object) -> dict[str, dict[str, object]]:
    asked = {"client_request_ids": ids, "experiment_ids": [traces.experiment_id], **given}
    found: dict[str, dict[str, object]] = bulk.ask("/resolve", json=asked).raise_for_status().json()["traces"]
    return found


def test_what_is_there_is_found_with_what_is_asked_for(bulk: Bulk, new_trace: TraceOf) -> None:
    request_id = new_id()
    ours = {"region": "eu", "mlflow.trace.user": "anna", "mlflow.trace.session": "s-1"}
    trace_id = new_trace(request_id, said=ours | {"other": "x"})
    found = find(bulk, new_trace, request_id, "nobody's", keys=[*ours, "none"])
    assert found == {
        request_id: {
            "trace_id": trace_id,
            "experiment_id": new_trace.experiment_id,
            "state": "OK",
            "timestamp_ms": AT,
            "said": ours,
        }
    }
    assert find(bulk, new_trace, request_id, keys=["region"])[request_id]["said"] == {"region": "eu"}


def test_of_several_traces_the_newest_that_is_ok(bulk: Bulk, new_trace: TraceOf) -> None:
    best, failed, running = new_id(), new_id(), new_id()
    new_trace(best, at=AT)
    good = new_trace(best, at=AT + 1)
    new_trace(best, at=AT + 2, state="ERROR")
    new_trace(failed, at=AT)
    bad = {failed: new_trace(failed, at=AT + 9, state="OK")}
    new_trace(running, state="IN_PROGRESS", at=AT + 9)
    error = new_trace(running, state="ERROR", at=AT)
    found = find(bulk, new_trace, best, failed, running)
    assert {key: said["trace_id"] for key, said in found.items()} == {best: good, running: error} | bad


def test_only_in_the_experiments_and_only_as_old_as_asked_for(bulk: Bulk, new_trace: TraceOf) -> None:
    request_id = new_id()
    new_trace(request_id)
    elsewhere = TraceOf(bulk)
    assert find(bulk, elsewhere, request_id) == {}
    assert find(bulk, new_trace, request_id, since_ms=AT) == {}
    assert set(find(bulk, new_trace, request_id, since_ms=AT - 1)) == {request_id}


def test_thousands_of_ids(bulk: Bulk, new_trace: TraceOf) -> None:
    ids = [new_id() for _ in range(5000)]
    new_trace(ids[4321])
    assert set(find(bulk, new_trace, *ids)) == {ids[4321]}
    asked = {"client_request_ids": [*ids, "one more"], "experiment_ids": [new_trace.experiment_id]}
    assert bulk.ask("/resolve", json=asked).status_code == 413


def test_an_id_is_never_part_of_a_statement(bulk: Bulk, new_trace: TraceOf) -> None:
    trace_id = new_trace("o'clock; --")
    assert find(bulk, new_trace, "o'clock; --")["o'clock; --"]["trace_id"] == trace_id
    assert find(bulk, new_trace, "%", "_' OR '1'='1") == {}


@pytest.mark.parametrize(
    "fields",
    [
        {"experiment_ids": ["chat"]},
        {"experiment_ids": ["9" * 30]},
        {"experiment_ids": ["-1"]},
        {"experiment_ids": ["1"] * 1001},
        {"since_ms": 10**30},
        {"keys": ["a"] * 101},
    ],
    ids=["no number", "too large", "negative", "too many", "no time", "too many keys"],
)
def test_what_no_database_can_be_asked(bulk: Bulk, fields: dict[str, object]) -> None:
    asked = {"client_request_ids": ["a"], "experiment_ids": ["1"]}
    answer = bulk.ask("/resolve", json=asked | fields)
    assert (answer.status_code, answer.json()["error_code"]) == (400, "MALFORMED_REQUEST")


def test_an_id_that_no_database_holds_is_nobody_s(bulk: Bulk, new_trace: TraceOf) -> None:
    request_id = new_id()
    new_trace(request_id)
    assert set(find(bulk, new_trace, request_id, "a\0b", keys=["c\0"])) == {request_id}


def test_nesting_without_end(bulk: Bulk) -> None:
    answer = bulk.ask("/resolve", content=b'{"more":' + b"[" * 100_000 + b"]" * 100_000 + b"}")
    assert (answer.status_code, answer.json()["error_code"]) == (400, "MALFORMED_REQUEST")
