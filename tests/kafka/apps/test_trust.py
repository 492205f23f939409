"""What is refused, by its status, and that nothing of it is published."""

import asyncio
from collections import Counter
from collections.abc import AsyncIterator
from pathlib import Path
from typing import Any
from uuid import uuid4

import httpx
import pytest
from support.apps import INGEST, KEYS, as_service, running, token
from support.stack import Stack, make_settings

from consumers.settings import Settings
from ops.reading import end_offsets
from ops.topics import create_topics

SAID: dict[str, Any] = {"assessments": [{"name": "user_feedback", "value": True}]}
MINE: dict[str, Any] = {"client_request_id": "req-mine", "trace_id": "tr-mine", "user": "anna"}


async def published(settings: Settings) -> int:
    return sum((await end_offsets(settings.kafka, settings.topics.feedback_submitted)).values())


@pytest.mark.parametrize(
    ("headers", "said", "status"),
    [
        ({}, SAID, 401),
        ({"X-Feedback-Token": "e30.e30.e30"}, SAID, 401),
        (token({"new": "f" * 40}, **MINE), SAID, 401),
        (token({"other": KEYS["new"]}, **MINE), SAID, 401),
        (token(seconds=-1, **MINE), SAID, 401),
        (as_service("x" * 40), SAID, 401),
        (token(**MINE), SAID | {"client_request_id": "req-other"}, 403),
        (token(**MINE), SAID | {"trace_id": "tr-other"}, 403),
        (token(**MINE), SAID | {"source": {"type": "HUMAN", "id": "bert"}}, 403),
        (token(**MINE), SAID | {"source": {"type": "LLM_JUDGE", "id": "anna"}}, 403),
        (token(**MINE), {"assessments": [{"name": "quality", "value": 1}]}, 403),
        (
            token(**MINE),
            {"assessments": [{"name": "user_feedback", "kind": "expectation", "value": 1}]},
            403,
        ),
        (token(**MINE) | {"Origin": "https://elsewhere.example"}, SAID, 403),
        (token(**MINE) | {"Content-Type": "text/plain"}, SAID, 415),
        (token(**MINE), {"assessments": [{"name": "user_feedback"}]}, 422),
        (token(**MINE), SAID | {"colour": "red"}, 422),
        (as_service(), SAID, 422),
    ],
)
async def test_what_is_not_allowed_is_refused(
    settings: Settings, ingest: httpx.AsyncClient, headers: dict[str, str], said: object, status: int
) -> None:
    before = await published(settings)
    content = httpx.Request("POST", "http://x", json=said).content
    response = await ingest.post(
        "/v1/feedback", content=content, headers={"Content-Type": "application/json"} | headers
    )
    assert response.status_code == status, response.text
    assert response.headers["content-type"] == "application/problem+json"
    assert response.json()["status"] == status
    assert await published(settings) == before


async def test_an_old_key_is_still_trusted(ingest: httpx.AsyncClient) -> None:
    headers = token({"old": KEYS["old"]}, **MINE | {"user": "dora"})
    assert (await ingest.post("/v1/feedback", json=SAID, headers=headers)).status_code == 202


async def test_a_body_of_ten_megabytes_is_refused(settings: Settings, ingest: httpx.AsyncClient) -> None:
    before = await published(settings)
    big = SAID | {"metadata": {"text": "x" * 10_000_000}}
    response = await ingest.post("/v1/feedback", json=big, headers=token(**MINE))
    assert response.status_code == 413

    async def chunks() -> AsyncIterator[bytes]:
        for _ in range(100):
            yield b" " * 100_000

    headers = token(**MINE) | {"Content-Type": "application/json"}
    response = await ingest.post("/v1/feedback", content=chunks(), headers=headers)
    assert response.status_code == 413, "also when it does not say how long it is"
    assert await published(settings) == before


async def test_of_a_burst_only_so_many_are_published(settings: Settings, ingest: httpx.AsyncClient) -> None:
    before = await published(settings)
    user = f"burst-{uuid4().hex}"
    tokens = [token(client_request_id=f"req-{one}", trace_id=f"tr-{one}", user=user) for one in range(50)]
    answers = await asyncio.gather(
        *(ingest.post("/v1/feedback", json=SAID, headers=tokens[one % 50]) for one in range(1000))
    )
    counted = Counter(answer.status_code for answer in answers)
    assert counted == Counter({202: 30, 429: 970})
    late = next(answer for answer in answers if answer.status_code == 429)
    assert 0 < int(late.headers["Retry-After"]) <= 60
    assert await published(settings) == before + 30


async def test_without_kafka_nothing_is_pretended(stack: Stack, folder: Path) -> None:
    """Its Kafka is an address where nobody listens: it starts, says so, and answers 503."""
    settings = make_settings(stack)
    await create_topics(settings)
    nowhere: dict[str, Any] = {
        "FEEDBACK_KAFKA_BOOTSTRAP_SERVERS": "127.0.0.1:1",
        "FEEDBACK_API_PUBLISH_SECONDS": "1",
    }
    async with running(INGEST, settings, folder, ready=False, **nowhere) as client:
        response = await client.post("/v1/feedback", json=SAID, headers=token(**MINE))
        assert response.status_code == 503
        assert int(response.headers["Retry-After"]) > 0
        assert (await client.get("/readyz")).status_code == 503


async def test_a_page_cannot_ask_whether_there_is_another_request(ingest: httpx.AsyncClient) -> None:
    headers = token(**MINE, names=["response_is_correct"])
    path = "/chat_feedback?client_request_id=req-other&wait=5"
    response = await ingest.post(path, json={"is_correct": True}, headers=headers)
    assert response.status_code == 403


async def test_what_is_open_to_all_is_not_asked_by_a_name_that_leads_here(chat: httpx.AsyncClient) -> None:
    """As a page does whose owner lets its name lead to this machine: to its browser both are one origin."""
    headers = {"Host": "evil.example:8000", "Origin": "http://evil.example:8000"}
    said = SAID | {"client_request_id": "req-1"}
    assert (await chat.post("/v1/feedback", json=said, headers=headers)).status_code == 403
    assert (await chat.get("/v1/insights", headers=headers)).status_code == 403
