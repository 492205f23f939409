"""Every way to give feedback over HTTP, each looked at in MLflow."""

import asyncio
from typing import Any
from uuid import uuid4

import httpx
import mlflow
from support.apps import as_service, ask, is_whole, logged, token
from support.waiting import wait_until
from support.world import value_of

from consumers.settings import Settings


def thumb(value: bool, comment: str | None = None) -> dict[str, Any]:  # noqa: FBT001 - a thumb
    return {"is_correct": value, "comment": comment}


async def test_by_trace_id(settings: Settings, chat: httpx.AsyncClient) -> None:
    answer = await ask(chat)
    response = await chat.post(
        f"/feedback?trace_id={answer['trace_id']}&user_id=anna&wait=20",
        json=thumb(True, "quick"),  # noqa: FBT003
    )
    assert response.status_code == 200, response.text
    assert response.json()["client_request_id"] == answer["client_request_id"], "both ids are sent"
    found = logged(settings, answer["trace_id"])["user_feedback"]
    assert (value_of(found), found["rationale"], found["source"]["source_id"]) == (True, "quick", "anna")


async def test_by_client_request_id(settings: Settings, chat: httpx.AsyncClient) -> None:
    answer = await ask(chat)
    response = await chat.post(
        f"/chat_feedback?client_request_id={answer['client_request_id']}&wait=20",
        json=thumb(False, "too vague"),  # noqa: FBT003
        headers={"X-User-ID": "bert"},
    )
    assert response.status_code == 200, response.text
    found = logged(settings, answer["trace_id"])["response_is_correct"]
    assert (value_of(found), found["source"]["source_id"]) == (False, "bert")


async def test_of_a_request_that_nobody_knows(chat: httpx.AsyncClient) -> None:
    unknown = f"unknown-{uuid4().hex}"
    path = f"/chat_feedback?client_request_id={unknown}"
    response = await chat.post(f"{path}&wait=1", json=thumb(True))  # noqa: FBT003
    assert response.status_code == 404
    assert response.json()["detail"] == f"Unable to find data for client request ID: {unknown}"
    assert (await chat.post(path, json=thumb(True))).status_code == 202, "it may come later"  # noqa: FBT003


async def test_ratings(settings: Settings, chat: httpx.AsyncClient) -> None:
    answer = await ask(chat)
    query: dict[str, Any] = {
        "accuracy": 4,
        "helpfulness": 5,
        "relevance": 1,
        "user_id": "anna",
        "comment": "mixed",
        "wait": 20,
    }
    response = await chat.post("/detailed-feedback", params={"trace_id": answer["trace_id"], **query})
    assert response.status_code == 200, response.text
    assert response.json()["feedback_recorded"] == {"accuracy": 4, "helpfulness": 5, "relevance": 1}
    assert response.json()["trace_id"] == answer["trace_id"]
    found = logged(settings, answer["trace_id"])
    assert {name: value_of(item) for name, item in found.items()} == {
        "user_accuracy": 0.8,
        "user_helpfulness": 1.0,
        "user_relevance": 0.2,
    }
    assert [item.get("rationale") for item in found.values() if item.get("rationale")] == ["mixed"]
    assert found["user_accuracy"]["rationale"] == "mixed"


async def test_a_list_of_a_judge_a_program_and_an_expert_on_a_span(
    settings: Settings, chat: httpx.AsyncClient, ingest: httpx.AsyncClient
) -> None:
    answer = await ask(chat)
    trace: Any = None

    async def is_there() -> bool:
        nonlocal trace
        trace = mlflow.get_trace(answer["trace_id"])
        return is_whole(trace)

    await wait_until(is_there, seconds=30, what="the trace is exported, with its spans")
    span = next(span for span in trace.data.spans if span.name == "retrieve")
    about = {"trace_id": answer["trace_id"]}
    said: list[dict[str, Any]] = [
        {"source": {"type": "LLM_JUDGE", "id": "j"}, "assessments": [{"name": "tone", "value": 0.5}]},
        {"source": {"type": "CODE", "id": "c"}, "assessments": [{"name": "links", "value": ["a"]}]},
        {
            "source": {"type": "HUMAN", "id": "expert"},
            "assessments": [{"name": "steps", "kind": "expectation", "value": [{"then": "click"}]}],
        },
        {
            "span_id": span.span_id,
            "source": {"type": "HUMAN", "id": "expert"},
            "assessments": [{"name": "found", "value": True}],
        },
    ]
    response = await ingest.post(
        "/v1/feedback?wait=20", json=[about | one for one in said], headers=as_service()
    )
    assert response.status_code == 200, response.text
    assert [one["client_request_id"] for one in response.json()] == [answer["client_request_id"]] * 4
    found = logged(settings, answer["trace_id"])
    assert {name: value_of(item) for name, item in found.items() if name != "steps"} == {
        "tone": 0.5,
        "links": ["a"],
        "found": True,
    }
    assert "expectation" in found["steps"]
    assert found["found"]["span_id"] == span.span_id
    assert found["tone"]["source"] == {"source_type": "LLM_JUDGE", "source_id": "j"}


async def test_two_routes_and_an_edit_are_one_assessment_and_can_be_taken_back(
    settings: Settings, chat: httpx.AsyncClient, ingest: httpx.AsyncClient
) -> None:
    answer = await ask(chat, **{"X-User-ID": "anna"})
    down = await chat.post(
        f"/feedback?trace_id={answer['trace_id']}&user_id=anna",
        json=thumb(False, "it is wrong"),  # noqa: FBT003
    )
    assert down.status_code == 202
    header = {"X-Feedback-Token": answer["feedback_token"]}
    up = {"assessments": [{"name": "user_feedback", "value": True}]}
    response = await ingest.post("/v1/feedback?wait=20", json=up, headers=header)
    assert response.status_code == 200, response.text
    (item,) = response.json()["feedback"]
    assert item["feedback_id"] == down.json()["feedback"][0]["feedback_id"]
    found = logged(settings, answer["trace_id"])["user_feedback"]
    assert (value_of(found), found.get("rationale", "")) == (True, "")
    status = (await ingest.get(item["status_url"], headers=header)).json()
    assert (status["status"], status["trace_id"]) == ("logged", answer["trace_id"])
    first = down.json()["feedback"][0]["status_url"]
    assert (await ingest.get(first, headers=header)).json()["status"] == "superseded"

    gone = await ingest.request(
        "DELETE", "/v1/feedback?wait=20", json={"names": ["user_feedback"]}, headers=header
    )
    assert gone.status_code == 200, gone.text
    assert gone.json()["feedback"][0]["status"] == "withdrawn"
    assert logged(settings, answer["trace_id"]) == {}


async def test_who_is_not_signed_in_says_which_answer_of_theirs_it_is(
    settings: Settings, chat: httpx.AsyncClient
) -> None:
    answer = await ask(chat)
    header = {"X-Feedback-Token": answer["feedback_token"]}
    said: dict[str, Any] = {"assessments": [{"name": "user_feedback", "value": True}]}
    assert (await chat.post("/v1/feedback", json=said, headers=header)).status_code == 422
    for value in (True, False):
        said = {"feedback_id": "page-1", "assessments": [{"name": "user_feedback", "value": value}]}
        response = await chat.post("/v1/feedback?wait=20", json=said, headers=header)
        assert response.status_code == 200, response.text
    assert value_of(logged(settings, answer["trace_id"])["user_feedback"]) is False


async def test_the_plain_routes_with_a_token_that_names_no_user(
    settings: Settings, chat: httpx.AsyncClient
) -> None:
    answer = await ask(chat)
    header = {"X-Feedback-Token": answer["feedback_token"]}
    by_trace = f"/feedback?trace_id={answer['trace_id']}"
    for value in (True, False):
        response = await chat.post(f"{by_trace}&wait=20", json=thumb(value), headers=header)
        assert response.status_code == 200, response.text
    by_request = f"/chat_feedback?client_request_id={answer['client_request_id']}&wait=20"
    response = await chat.post(by_request, json=thumb(True), headers=header)  # noqa: FBT003
    assert response.status_code == 200, response.text
    ratings = (
        f"trace_id={answer['trace_id']}&accuracy=1&helpfulness=2&relevance=3&user_id={answer['user_id']}"
    )
    response = await chat.post(f"/detailed-feedback?{ratings}&wait=20", headers=header)
    assert response.status_code == 200, response.text
    found = logged(settings, answer["trace_id"])
    assert value_of(found["user_feedback"]) is False, "the second is an edit of the first"
    assert set(found) == {
        *("user_feedback", "response_is_correct", "user_accuracy", "user_helpfulness", "user_relevance")
    }
    assert "anonymous-" not in str({item["source"].get("source_id") for item in found.values()})


async def test_a_token_of_one_id_is_completed(chat: httpx.AsyncClient) -> None:
    answer = await ask(chat)
    said = {"trace_id": answer["trace_id"], "assessments": [{"name": "user_feedback", "value": True}]}
    for one in ("trace_id", "client_request_id"):
        header = token(user="anna", **{one: answer[one]})
        response = await chat.post("/v1/feedback", json=said, headers=header)
        assert response.status_code == 202, response.text
        assert {response.json()[key] for key in ("trace_id", "client_request_id")} == {
            answer["trace_id"],
            answer["client_request_id"],
        }


async def test_many_unknown_traces_are_looked_for_together(chat: httpx.AsyncClient) -> None:
    part = {"source": {"type": "CODE", "id": "c"}, "assessments": [{"name": "n", "value": 1}]}
    said = [part | {"trace_id": f"tr-{uuid4().hex}"} for _ in range(20)]
    async with asyncio.timeout(20):  # each may be unknown for two seconds
        assert (await chat.post("/v1/feedback", json=said)).status_code == 202


async def test_what_another_process_has_just_accepted_is_not_superseded(
    chat: httpx.AsyncClient, ingest: httpx.AsyncClient
) -> None:
    answer = await ask(chat, **{"X-User-ID": "anna"})
    header = {"X-Feedback-Token": answer["feedback_token"]}
    said = {"assessments": [{"name": "user_feedback", "value": True}]}
    assert (await chat.post("/v1/feedback?wait=20", json=said, headers=header)).status_code == 200
    item = (await chat.post("/v1/feedback", json=said, headers=header)).json()["feedback"][0]
    states = []

    async def is_logged() -> bool:
        states.append((await ingest.get(item["status_url"], headers=header)).json()["status"])
        return bool(states[-1] == "logged")

    await wait_until(is_logged, seconds=20, what="it is logged")
    assert "superseded" not in states


async def test_a_retry_with_its_key_is_the_same_event(
    chat: httpx.AsyncClient, ingest: httpx.AsyncClient
) -> None:
    answer = await ask(chat)
    grant: dict[str, Any] = {key: answer[key] for key in ("client_request_id", "trace_id")}
    headers = token(user="carl", **grant) | {"Idempotency-Key": uuid4().hex}
    said = {"assessments": [{"name": "user_feedback", "value": True}]}
    ids = {(await ingest.post("/v1/feedback", json=said, headers=headers)).json()["event_id"] for _ in "ab"}
    ids |= {(await chat.post("/v1/feedback", json=said, headers=headers)).json()["event_id"]}
    assert len(ids) == 1, "also in another process"
    other = {"assessments": [{"name": "user_feedback", "value": False}]}
    assert (await ingest.post("/v1/feedback", json=other, headers=headers)).status_code == 409


async def test_what_was_refused_may_come_again_mended_with_its_key(
    chat: httpx.AsyncClient, ingest: httpx.AsyncClient
) -> None:
    answer = await ask(chat)
    grant: dict[str, Any] = {key: answer[key] for key in ("client_request_id", "trace_id")}
    headers = token(user="dora", **grant) | {"Idempotency-Key": uuid4().hex}
    thumb = {"name": "user_feedback", "value": True}
    twice = await ingest.post("/v1/feedback", json={"assessments": [thumb, thumb]}, headers=headers)
    assert twice.status_code == 422
    mended = await ingest.post("/v1/feedback", json={"assessments": [thumb]}, headers=headers)
    assert mended.status_code == 202, mended.text


async def test_feedback_that_was_just_accepted_or_that_nobody_knows(chat: httpx.AsyncClient) -> None:
    said = {"client_request_id": f"later-{uuid4().hex}", "assessments": [{"name": "n", "value": 1}]}
    (item,) = (await chat.post("/v1/feedback", json=said)).json()["feedback"]
    assert (await chat.get(item["status_url"])).json()["status"] in {"accepted", "parked"}
    assert (await chat.get(f"/v1/feedback/{uuid4()}")).status_code == 404
