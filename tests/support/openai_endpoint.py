"""An OpenAI-compatible endpoint on the loopback: it says three words, or goes on for ever."""

import asyncio
import json
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from typing import Final

import uvicorn
from fastapi import FastAPI, Request
from starlette.responses import StreamingResponse

from local.ports import free_port
from support.waiting import wait_until

WORDS: Final = ("It ", "is ", "kept.")
ENDLESS: Final = "Go on for ever."
"""What is asked for an answer that does not end."""

_LONG_WORD: Final = "x" * 1000


class Endpoint:
    """What was asked of it, and how much it has said of the endless answers."""

    def __init__(self, url: str) -> None:
        self.url = url
        self.systems: list[str] = []
        self.said = 0
        self.open = 0

    async def answer(self, request: Request) -> StreamingResponse:
        system, user = (message["content"] for message in (await request.json())["messages"])
        self.systems.append(system)
        words = self._endless() if user == ENDLESS else _three()
        return StreamingResponse(words, media_type="text/event-stream")

    async def _endless(self) -> AsyncIterator[str]:
        self.open += 1
        try:
            while True:
                yield _chunk(_LONG_WORD)
                self.said += len(_LONG_WORD)
                await asyncio.sleep(0)  # so that a client that has gone is seen
        finally:
            self.open -= 1


async def _three() -> AsyncIterator[str]:
    for word in WORDS:
        yield _chunk(word)
    yield "data: [DONE]\n\n"


def _chunk(word: str) -> str:
    delta = {"role": "assistant", "content": word}
    chunk = {
        "id": "c-1",
        "object": "chat.completion.chunk",
        "created": 1,
        "model": "m",
        "choices": [{"index": 0, "delta": delta, "finish_reason": None}],
    }
    return f"data: {json.dumps(chunk)}\n\n"


@asynccontextmanager
async def serving() -> AsyncIterator[Endpoint]:
    """Serve one until the end of the block."""
    port = free_port()
    endpoint = Endpoint(f"http://127.0.0.1:{port}/v1")
    app = FastAPI()
    app.post("/v1/chat/completions")(endpoint.answer)
    server = uvicorn.Server(uvicorn.Config(app, port=port, log_config=None, lifespan="off"))
    task = asyncio.create_task(server.serve())
    await wait_until(lambda: server.started, seconds=10, what="the endpoint listens")
    try:
        yield endpoint
    finally:
        server.should_exit = True
        await task
