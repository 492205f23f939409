"""What the OpenAPI documents say is what the routes do, whatever is sent."""

import asyncio
from typing import Any

import httpx
import pytest
import schemathesis
from hypothesis import HealthCheck, Phase, given, settings
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
        response = case.call(base_url=address, headers=as_service(), timeout=20)
        assert response.status_code < 500, response.text
        case.validate_response(response, checks=list(CHECKS))
        sent += 1

    send()
    return sent


@pytest.mark.parametrize("mode", list(GenerationMode))
async def test_the_feedback_routes_keep_to_their_document(
    ingest: httpx.AsyncClient, mode: GenerationMode
) -> None:
    schema = schemathesis.openapi.from_dict((await ingest.get("/openapi.json")).json())
    sent = {
        operation.label: await asyncio.to_thread(attack, operation, str(ingest.base_url), mode)
        for operation in (found.ok() for found in schema.get_all_operations() if isinstance(found, Ok))
    }
    assert len(sent) == 6
    assert all(sent.values()), sent
