"""What the OpenAPI documents say is what the routes do, whatever is sent."""

import asyncio
from contextlib import suppress
from typing import Any

import httpx
import pytest
import requests
import schemathesis
from hypothesis import HealthCheck, Phase, assume, given, settings
from hypothesis.errors import Unsatisfiable
from schemathesis import Case, GenerationMode
from schemathesis.core.result import Ok
from schemathesis.schemas import APIOperation
from schemathesis.specs.openapi.checks import (
    content_type_conformance,
    response_schema_conformance,
    status_code_conformance,
)
from support.apps import as_service

CHECKS = (status_code_conformance, content_type_conformance, response_schema_conformance)
EXAMPLES = 12
LONGEST_LINE = 60_000  # of a request: a server ends the connection when its head is longer
CHAT = {"/chat", "/chat/stream", "/v1/config", "/v1/insights"}  # not the stream, which does not end


def attack(operation: APIOperation[Any, Any, Any, Any], address: str, mode: GenerationMode) -> int:
    """Send a route what fits its description, or what does not; gives how many requests that were."""
    sent = 0

    @settings(
        max_examples=EXAMPLES,
        deadline=None,
        database=None,
        derandomize=True,
        phases=[Phase.explicit, Phase.generate],
        suppress_health_check=list(HealthCheck),
    )
    @given(case=operation.as_strategy(generation_mode=mode))
    def send(case: Case[Any]) -> None:
        nonlocal sent
        if isinstance(case.query, dict):
            case.query.pop("wait", None)
        prepared = case.as_transport_kwargs(base_url=address)
        assume(len(requests.Request(**prepared).prepare().url or "") < LONGEST_LINE)
        response = case.call(base_url=address, headers=as_service(), timeout=20)
        assert response.status_code < 500, response.text
        case.validate_response(response, checks=list(CHECKS))
        sent += 1

    with suppress(Unsatisfiable):  # what takes nothing can be sent nothing wrong
        send()
    return sent


async def attack_all(
    served: httpx.AsyncClient, mode: GenerationMode, only: set[str] | None = None
) -> dict[str, int]:
    """Attack all routes, or only some; gives how many requests each got."""
    schema = schemathesis.openapi.from_dict((await served.get("/openapi.json")).json())
    operations = (found.ok() for found in schema.get_all_operations() if isinstance(found, Ok))
    return {
        operation.label: await asyncio.to_thread(attack, operation, str(served.base_url), mode)
        for operation in operations
        if only is None or operation.path in only
    }


@pytest.mark.parametrize("mode", list(GenerationMode))
async def test_the_feedback_routes_keep_to_their_document(
    ingest: httpx.AsyncClient, mode: GenerationMode
) -> None:
    sent = await attack_all(ingest, mode)
    assert len(sent) == 6
    assert all(sent.values()), sent


@pytest.mark.parametrize("mode", list(GenerationMode))
async def test_the_routes_of_the_chat_keep_to_their_document(
    chat: httpx.AsyncClient, mode: GenerationMode
) -> None:
    sent = await attack_all(chat, mode, CHAT)
    assert len(sent) == len(CHAT)
    none = {label for label, count in sent.items() if not count}
    assert none <= ({"GET /v1/config"} if mode is GenerationMode.NEGATIVE else set()), sent
