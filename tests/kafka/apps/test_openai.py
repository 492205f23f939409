"""A model behind an OpenAI-compatible endpoint: what it streams, and what MLflow sees of it."""

import asyncio
import json
from collections.abc import AsyncIterator

import mlflow
import pytest
import uvicorn
from fastapi import FastAPI, Request
from starlette.responses import StreamingResponse
from support.waiting import wait_until

from apps.chat.library import own_library
from apps.chat.openai_model import OpenAiModel
from consumers.settings import Settings
from local.ports import free_port

WORDS = ("It ", "is ", "kept.")


def endpoint(seen: list[str]) -> FastAPI:
    app = FastAPI()

    @app.post("/v1/chat/completions")
    async def complete(request: Request) -> StreamingResponse:
        seen.append((await request.json())["messages"][0]["content"])
        return StreamingResponse(chunks(), media_type="text/event-stream")

    return app


async def chunks() -> AsyncIterator[str]:
    for word in WORDS:
        chunk = {
            "id": "c-1",
            "object": "chat.completion.chunk",
            "created": 1,
            "model": "m",
            "choices": [{"index": 0, "delta": {"role": "assistant", "content": word}, "finish_reason": None}],
        }
        yield f"data: {json.dumps(chunk)}\n\n"
    yield "data: [DONE]\n\n"


@pytest.fixture
async def served() -> AsyncIterator[tuple[str, list[str]]]:
    seen: list[str] = []
    port = free_port()
    server = uvicorn.Server(uvicorn.Config(endpoint(seen), port=port, log_config=None, lifespan="off"))
    serving = asyncio.create_task(server.serve())
    await wait_until(lambda: server.started, seconds=10, what="the endpoint listens")
    yield f"http://127.0.0.1:{port}/v1", seen
    server.should_exit = True
    await serving


async def test_it_streams_what_the_endpoint_says_and_mlflow_sees_the_call(
    settings: Settings, served: tuple[str, list[str]]
) -> None:
    url, seen = served
    mlflow.set_experiment(experiment_id=settings.mlflow_experiments[0])
    model = OpenAiModel(own_library(), url=url, key="none", model="m")
    try:
        with mlflow.start_span("chat") as span:
            said = [token async for token in model.answer("What is a dead letter?")]
    finally:
        mlflow.openai.autolog(disable=True)
        await model.close()
    assert said == list(WORDS)
    assert "operations.md" in seen[0], "what was found goes along"
    mlflow.flush_trace_async_logging()
    trace = mlflow.get_trace(span.trace_id)
    assert trace is not None
    kinds = {one.span_type for one in trace.data.spans}
    assert {"RETRIEVER", "CHAT_MODEL"} <= kinds
