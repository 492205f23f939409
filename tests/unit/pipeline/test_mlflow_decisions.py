"""What the MLflow adapters decide by themselves, without a server."""

from datetime import UTC, datetime
from typing import Any
from uuid import uuid4

import pytest
from hypothesis import given
from hypothesis import strategies as st
from mlflow.entities import (
    Assessment,
    AssessmentSource,
    Expectation,
    Feedback,
    TraceInfo,
    TraceLocation,
    TraceState,
)
from mlflow.exceptions import MlflowException, RestException
from mlflow.protos.databricks_pb2 import ErrorCode
from requests.exceptions import ConnectionError as RequestsConnectionError
from requests.exceptions import RetryError
from support.samples import NOON, SECRET, a_draft, a_version, at

from contracts.events import Segment
from pipeline.adapters.mlflow_client import error_code, finding
from pipeline.adapters.mlflow_rest import assessment_of
from pipeline.adapters.mlflow_traces import newest_traces, search_filter
from pipeline.log import write_of
from pipeline.ports import Write


def rest_error(code: str) -> RestException:
    return RestException({"error_code": code, "message": SECRET})


def client_error(cause: Exception | None, code: str = "INTERNAL_ERROR") -> MlflowException:
    error = MlflowException(SECRET, error_code=ErrorCode.Value(code))
    error.__cause__ = cause
    return error


@pytest.mark.parametrize(
    ("code", "found"),
    [
        ("RESOURCE_DOES_NOT_EXIST", "missing"),
        ("INVALID_PARAMETER_VALUE", "refused"),
        ("BAD_REQUEST", "failed"),
        ("PERMISSION_DENIED", "away"),
        ("UNAUTHENTICATED", "away"),
        ("REQUEST_LIMIT_EXCEEDED", "away"),
        ("TEMPORARILY_UNAVAILABLE", "away"),
        ("INTERNAL_ERROR", "failed"),
        ("RESOURCE_ALREADY_EXISTS", "unclear"),
        ("ENDPOINT_NOT_FOUND", "unclear"),
    ],
)
def test_what_an_answer_in_mlflow_s_own_form_proves(code: str, found: str) -> None:
    assert finding(rest_error(code)) == found
    assert error_code(rest_error(code)) == code


@pytest.mark.parametrize(
    ("cause", "found"),
    [
        (RetryError("too many 500 error responses"), "failed"),
        (RetryError("Max retries exceeded (Caused by: too many 503 error responses)"), "away"),
        (RetryError("too many 429 error responses"), "away"),
        (RetryError("something else"), "unclear"),
        (RequestsConnectionError("refused"), "unclear"),
        (RequestsConnectionError("too many 500 error responses"), "unclear"),
        (None, "unclear"),
    ],
    ids=repr,
)
def test_what_an_error_of_the_client_proves(cause: Exception | None, found: str) -> None:
    assert finding(client_error(cause)) == found


@pytest.mark.parametrize(
    ("code", "found"),
    [
        ("RESOURCE_DOES_NOT_EXIST", "unclear"),
        ("INVALID_PARAMETER_VALUE", "unclear"),
        ("BAD_REQUEST", "unclear"),
        ("PERMISSION_DENIED", "away"),
        ("TEMPORARILY_UNAVAILABLE", "away"),
        ("INTERNAL_ERROR", "unclear"),
    ],
)
def test_a_proxy_s_page_proves_nothing_of_mlflow(code: str, found: str) -> None:
    """A 404 of a proxy that was set up wrongly must not look like a missing trace."""
    assert finding(client_error(None, code)) == found


def test_an_error_is_named_by_its_code_and_never_by_its_text() -> None:
    assert SECRET not in error_code(rest_error("INVALID_PARAMETER_VALUE"))
    assert SECRET not in error_code(client_error(None))


# mlflow_rest


def assessment(**fields: Any) -> Assessment:
    return assessment_of(write_of(a_draft(a_version(**fields), Segment(region="eu")), "tr-1"))


def test_a_feedback_to_create() -> None:
    feedback_id = uuid4()
    made = assessment(
        feedback_id=feedback_id,
        submitted_at=at(0.9999),
        rationale="so",
        span_id="s-1",
        source_type="LLM_JUDGE",
    )
    assert isinstance(made, Feedback)
    assert (made.assessment_id, made.name, made.value, made.rationale) == (
        f"a-{feedback_id.hex}",
        "helpful",
        True,
        "so",
    )
    assert made.source == AssessmentSource(source_type="LLM_JUDGE", source_id="anna")
    milliseconds = int(NOON.timestamp() * 1000) + 999
    assert (made.create_time_ms, made.last_update_time_ms, made.span_id) == (
        milliseconds,
        milliseconds,
        "s-1",
    )
    assert made.metadata
    assert made.metadata["region"] == "eu"


def test_an_expectation_to_create() -> None:
    made = assessment(kind="expectation", value={"a": [None]}, source_type="CODE", source_id=None)
    assert isinstance(made, Expectation)
    assert made.value == {"a": [None]}
    assert made.source.source_type == "CODE"


def test_the_write_s_metadata_is_not_shared_with_the_client() -> None:
    write: Write = write_of(a_draft(a_version()), "tr-1")
    made = assessment_of(write)
    assert made.metadata == write.metadata
    assert made.metadata is not write.metadata


# mlflow_traces


def info(
    trace_id: str,
    state: TraceState = TraceState.OK,
    *,
    second: int = 0,
    request_id: str = "req-1",
    **said: dict[str, str],
) -> TraceInfo:
    return TraceInfo(
        trace_id=trace_id,
        trace_location=TraceLocation.from_experiment_id("1"),
        request_time=int(at(second).timestamp() * 1000),
        state=state,
        client_request_id=request_id,
        execution_duration=5000,
        trace_metadata=said.get("metadata", {}),
        tags=said.get("tags", {}),
    )


OK, ERROR, BUSY = TraceState.OK, TraceState.ERROR, TraceState.IN_PROGRESS


@pytest.mark.parametrize(
    ("infos", "chosen"),
    [
        ([("a", OK, 0)], "a"),
        ([("a", OK, 0), ("b", OK, 1)], "b"),
        ([("a", OK, 0), ("b", ERROR, 1), ("c", BUSY, 2)], "a"),
        ([("a", ERROR, 0), ("b", ERROR, 1), ("c", BUSY, 2)], "b"),
        ([("a", BUSY, 0), ("b", BUSY, 1)], "b"),
        ([("a", OK, 0), ("b", OK, 0)], "b"),
        ([("a", TraceState.STATE_UNSPECIFIED, 3), ("b", ERROR, 0)], "b"),
    ],
)
def test_which_of_several_traces_is_chosen(infos: list[tuple[str, TraceState, int]], chosen: str) -> None:
    made = [info(f"tr-{name}", state, second=second) for name, state, second in infos]
    for order in (made, made[::-1]):
        assert newest_traces(order)["req-1"].trace_id == f"tr-{chosen}"


def test_traces_of_several_requests_are_kept_apart() -> None:
    found = newest_traces([info("tr-1"), info("tr-2", request_id="req-2")])
    assert {key: chat.trace_id for key, chat in found.items()} == {"req-1": "tr-1", "req-2": "tr-2"}
    assert newest_traces([]) == {}


def test_the_chat_of_a_trace_is_older_than_any_event_of_its_end() -> None:
    """The trace may end a little after its chat event says; the event still knows better."""
    chat = newest_traces([info("tr-1", second=3)])["req-1"]
    assert chat.completed_at == at(3)
    assert chat.event_id.int == 0


def test_a_segment_comes_from_metadata_then_tags_under_mlflow_s_keys_then_plain_ones() -> None:
    metadata = {"mlflow.trace.session": "s", "environment": "prod", "region": "", "app_version": "v" * 999}
    tags = {"user_id": "u", "environment": "tag", "region": "tag", "deployment_id": "arm"}
    (chat,) = newest_traces([info("tr-1", metadata=metadata, tags=tags)]).values()
    assert chat.segment == Segment(
        session_id="s",
        user_id="u",
        environment="prod",
        app_version="v" * 250,
        deployment_id="arm",
        region=None,
    )


def test_the_filter_of_a_search() -> None:
    assert search_filter(["a", "b-_.:/=+@"], None) == "attributes.client_request_id IN ('a', 'b-_.:/=+@')"
    since = datetime(2026, 1, 31, 12, 0, 0, 1500, tzinfo=UTC)
    bound = int(NOON.timestamp()) * 1000 + 1
    assert search_filter(["a"], since) == (
        f"attributes.client_request_id IN ('a') AND attributes.timestamp_ms > {bound}"
    )


@given(st.text())
def test_no_text_leaves_its_quotes(text: str) -> None:
    try:
        made = search_filter([text], None)
    except ValueError as error:
        refusal = str(error)
        assert refusal == "a client_request_id holds a character that must not reach an MLflow filter"
        return
    assert made == f"attributes.client_request_id IN ('{text}')"
    assert text.isascii()
    assert not set(text) & set("'\"\\` \n(),;%")
