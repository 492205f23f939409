"""The chat service as a process: what a person does ends in MLflow."""

from typing import Any

import httpx
import mlflow
from support.apps import ask, is_whole, logged
from support.waiting import wait_until
from support.world import value_of

from consumers.settings import Settings
from ops.reading import read_topic

USER = {"X-User-ID": "anna"}


async def test_an_answer_has_a_trace_and_kafka_is_told(settings: Settings, chat: httpx.AsyncClient) -> None:
    headers = {"X-Request-ID": f"{settings.topic_prefix}1", "X-Session-ID": "s-1", "X-User-ID": "anna"}
    response = await chat.post("/chat", json={"message": "What is a dead letter?"}, headers=headers)
    assert {name: response.headers[name] for name in headers} == headers
    assert response.json()["user_id"] == "anna"
    answer = response.json()
    assert answer["client_request_id"] == headers["X-Request-ID"]
    assert "operations.md" in answer["response"]
    trace: Any = None

    async def is_there() -> bool:
        nonlocal trace
        trace = mlflow.get_trace(answer["trace_id"])
        return is_whole(trace)

    await wait_until(is_there, seconds=30, what="the trace is exported, with its spans")
    assert trace.info.client_request_id == headers["X-Request-ID"]
    said = trace.info.trace_metadata
    assert said["mlflow.trace.session"] == "s-1"
    assert said["mlflow.trace.user"] == "anna"
    assert said["mlflow.source.type"] == said["environment"] == "demo"
    assert {"app_version", "deployment_id", "region"} < set(said)
    assert {span.name: span.parent_id is None for span in trace.data.spans} == {
        "chat": True,
        "retrieve": False,
    }

    async def is_told() -> bool:
        values = [record.value for record in await read_topic(settings.kafka, settings.topics.chat_completed)]
        return any(answer["trace_id"].encode() in (value or b"") for value in values)

    await wait_until(is_told, seconds=30, what="ChatCompleted is published")


async def test_somebody_who_is_not_signed_in_stays_nobody(
    settings: Settings, chat: httpx.AsyncClient
) -> None:
    """The id that we make for them ties their chats together; it does not sign them in when it comes back."""
    first = await ask(chat)
    second = await ask(chat, **{"X-User-ID": first["user_id"]})
    assert second["user_id"] == first["user_id"]
    sources = []
    for answer in (first, second):
        response = await chat.post(
            "/v1/feedback?wait=20",
            json={"feedback_id": "of-this-answer", "assessments": [{"name": "user_feedback", "value": True}]},
            headers={"X-Feedback-Token": answer["feedback_token"]},
        )
        assert response.status_code == 200, response.text
        sources.append(logged(settings, answer["trace_id"])["user_feedback"]["source"])
    assert sources[0] == sources[1]
    assert first["user_id"] not in str(sources)


async def test_thumbs_with_the_token_of_an_answer(settings: Settings, chat: httpx.AsyncClient) -> None:
    answer = await ask(chat, **USER)
    response = await chat.post(
        "/v1/feedback?wait=20",
        json={"assessments": [{"name": "user_feedback", "value": True, "rationale": "to the point"}]},
        headers={"X-Feedback-Token": answer["feedback_token"]},
    )
    assert response.status_code == 200, response.text
    body = response.json()
    assert body["trace_id"] == answer["trace_id"]
    assert [item["status"] for item in body["feedback"]] == ["logged"]
    found = logged(settings, answer["trace_id"])["user_feedback"]
    assert value_of(found) is True
    assert found["rationale"] == "to the point"
    assert found["source"] == {"source_type": "HUMAN", "source_id": "anna"}


async def test_a_user_of_any_script_is_who_they_are(settings: Settings, chat: httpx.AsyncClient) -> None:
    user = "杏奈 Ünal"
    response = await chat.post("/chat", json={"message": "Hi"}, headers={b"X-User-ID": user.encode()})
    assert response.status_code == 200, response.text
    answer = response.json()
    assert answer["user_id"] == user
    assert dict(response.headers.raw)[b"x-user-id"] == user.encode()
    response = await chat.post(
        f"/chat_feedback?client_request_id={answer['client_request_id']}&wait=20",
        json={"is_correct": True},
        headers={b"X-User-ID": user.encode()},
    )
    assert response.status_code == 200, response.text
    assert logged(settings, answer["trace_id"])["response_is_correct"]["source"]["source_id"] == user


async def test_a_message_that_no_trace_can_hold_is_refused(chat: httpx.AsyncClient) -> None:
    for path in ("/chat", "/chat/stream"):
        response = await chat.post(path, json={"message": "a\0b"})
        assert response.status_code == 422, response.text
