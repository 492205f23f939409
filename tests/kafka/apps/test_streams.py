"""Streams of a real server: in order, resumed where they broke, and ended when nobody reads."""

import asyncio
from collections.abc import AsyncIterator
from typing import Any
from uuid import uuid4

import httpx
from support.apps import root_of, spoken, trace_of
from support.waiting import wait_until

ASK = {"message": "What is a dead letter?"}


async def test_tokens_then_what_feedback_needs(settings: Any, chat: httpx.AsyncClient) -> None:
    async with chat.stream("POST", "/chat/stream", json=ASK) as response:
        assert response.headers["cache-control"] == "no-cache"
        assert response.headers["connection"] == "keep-alive"
        assert response.headers["x-accel-buffering"] == "no"
        assert response.headers["content-type"].startswith("text/event-stream")
        events = await spoken(response)
    assert [number for number, _ in events] == [str(n) for n in range(1, len(events) + 1)]
    *tokens, done = [data for _, data in events]
    assert {data["type"] for data in tokens} == {"token"}
    assert len(tokens) > 5, "it streams"
    assert set(done) == {"type", "trace_id", "client_request_id", "feedback_token"}
    assert done["client_request_id"] == response.headers["x-request-id"]
    text = "".join(data["content"] for data in tokens)
    trace = await trace_of(settings, done["client_request_id"])
    root = root_of(trace)
    assert root.name == "streaming_chat"
    assert root.attributes["response"] == text
    assert root.attributes["token_count"] >= len(tokens)
    said = trace.info.trace_metadata
    assert said["request_message"] == ASK["message"]
    assert said["stream_start_time"]
    header = {"X-Feedback-Token": done["feedback_token"]}
    thumb = {"feedback_id": "page", "assessments": [{"name": "user_feedback", "value": True}]}
    assert (await chat.post("/v1/feedback", json=thumb, headers=header)).status_code == 202


async def first_events(chat: httpx.AsyncClient, request_id: str, count: int) -> list[str]:
    """Read some events, then go."""
    seen: list[str] = []
    headers = {"X-Request-ID": request_id}
    async with chat.stream("POST", "/chat/stream", json=ASK, headers=headers) as response:
        lines: AsyncIterator[str] = response.aiter_lines()
        async for line in lines:
            if line.startswith("data: "):
                seen.append(line.removeprefix("data: "))
            if len(seen) == count:
                break
    return seen


async def test_a_client_that_comes_back_goes_on_where_it_was(chat: httpx.AsyncClient) -> None:
    request_id = f"req-{uuid4().hex}"
    before = await first_events(chat, request_id, 3)
    headers = {"X-Request-ID": request_id, "Last-Event-ID": "3"}
    async with chat.stream("POST", "/chat/stream", json=ASK, headers=headers) as response:
        after = await spoken(response)
    assert after[0][0] == "4"
    assert after[-1][1]["type"] == "done"
    text = "".join(httpx.Response(200, text=data).json()["content"] for data in before)
    text += "".join(data["content"] for _, data in after[:-1])
    async with chat.stream("POST", "/chat/stream", json=ASK) as response:
        whole = await spoken(response)
    assert text == "".join(data["content"] for _, data in whole[:-1])


async def test_a_stream_that_nobody_comes_back_to_ends_and_is_gone(
    settings: Any, chat: httpx.AsyncClient
) -> None:
    request_id = f"req-{uuid4().hex}"
    await first_events(chat, request_id, 1)
    trace = await trace_of(settings, request_id)
    assert root_of(trace).attributes["error"] == "the client left"
    headers = {"X-Request-ID": request_id, "Last-Event-ID": "1"}
    response = await chat.post("/chat/stream", json=ASK, headers=headers)
    assert response.status_code == 410
    assert response.headers["content-type"] == "application/problem+json"


async def test_receipts_are_told_as_they_come_and_summed_up(settings: Any, chat: httpx.AsyncClient) -> None:
    answer = (await chat.post("/chat", json=ASK)).json()
    async with chat.stream("GET", "/v1/insights/stream") as response:
        lines = response.aiter_lines()
        assert await anext(lines) == ": keep-alive"
        await chat.post(
            f"/feedback?trace_id={answer['trace_id']}&user_id=eve",
            json={"is_correct": False, "comment": "stale"},
        )
        async with asyncio.timeout(20):
            async for line in lines:
                if answer["trace_id"] in line:
                    break
    assert '"outcome":"logged"' in line

    async def is_shown() -> bool:
        found = (await chat.get("/v1/insights?minutes=5")).json()
        assert len(found["over_time"]) == 5
        shown = [one for one in found["comments"] if one["trace_id"] == answer["trace_id"]]
        return [one["comment"] for one in shown] == ["stale"] and found["negative"] > 0

    await wait_until(is_shown, seconds=10, what="the complaint is shown")
    config = (await chat.get("/v1/config")).json()
    assert config["open"] is True
    assert config["experiment_id"] == settings.mlflow_experiments[0]
    assert config["notice"]
