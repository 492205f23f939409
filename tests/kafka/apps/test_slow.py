"""Clients that do not read, and clients that go, of a service whose model would go on for ever."""

import asyncio
import json
import socket
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from pathlib import Path
from typing import Any

import httpx
import pytest
from support.apps import CHAT, root_of, running, spoken, trace_of
from support.openai_endpoint import ENDLESS, WORDS, Endpoint, serving
from support.waiting import wait_until

from consumers.settings import Settings

SEND_SECONDS = 3
AHEAD = 16_384
STILL_SECONDS = 1.0
# What two sockets between the endpoint and the chat and the deaf client's own hold, whatever the model says.
SOCKETS = 16 * 1024 * 1024


@pytest.fixture
async def endpoint() -> AsyncIterator[Endpoint]:
    async with serving() as endpoint:
        yield endpoint


@pytest.fixture
async def chat(settings: Settings, endpoint: Endpoint, tmp_path: Path) -> AsyncIterator[httpx.AsyncClient]:
    """The chat service on that model; a client that reads nothing is cut off soon."""
    environment: dict[str, Any] = {
        "FEEDBACK_API_OPEN": "true",
        "FEEDBACK_API_SEND_SECONDS": str(SEND_SECONDS),
        "FEEDBACK_CHAT_MODEL_URL": endpoint.url,
        "FEEDBACK_CHAT_AHEAD_BYTES": str(AHEAD),
        "FEEDBACK_CHAT_RECONNECT_SECONDS": "0.5",
    }
    async with running(CHAT, settings, tmp_path, **environment) as client:
        yield client


@asynccontextmanager
async def deaf(chat: httpx.AsyncClient, message: str) -> AsyncIterator[socket.socket]:
    """Ask, and read nothing; its own buffer is as small as a socket's can be."""
    body = json.dumps({"message": message}).encode()
    head = "POST /chat/stream HTTP/1.1\r\nHost: 127.0.0.1\r\nContent-Type: application/json\r\n"
    length = f"Content-Length: {len(body)}\r\n\r\n"
    with socket.socket() as client:
        client.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, 4096)
        client.settimeout(0)
        loop = asyncio.get_running_loop()
        await loop.sock_connect(client, ("127.0.0.1", chat.base_url.port))
        await loop.sock_sendall(client, (head + length).encode() + body)
        yield client


async def streams(chat: httpx.AsyncClient) -> float:
    lines = (await chat.get("/metrics/")).text.splitlines()
    return next(float(line.split()[1]) for line in lines if line.startswith("feedback_chat_streams "))


def is_cut(client: socket.socket) -> bool:
    """Read what has come; tell whether the other end has ended the connection."""
    try:
        while client.recv(65_536):
            pass
    except BlockingIOError:
        return False
    except ConnectionError:
        return True
    return True


async def stands_still(endpoint: Endpoint) -> bool:
    before = endpoint.said
    await asyncio.sleep(STILL_SECONDS)
    return before == endpoint.said > 0


async def test_who_reads_nothing_holds_back_the_model_and_nobody_else_and_is_cut_off(
    chat: httpx.AsyncClient, endpoint: Endpoint
) -> None:
    async with deaf(chat, ENDLESS) as client:
        await wait_until(lambda: stands_still(endpoint), seconds=20, what="the model waits for its reader")
        assert AHEAD < endpoint.said < SOCKETS
        async with chat.stream("POST", "/chat/stream", json={"message": "Short, please"}) as response:
            events = await spoken(response)
        assert events[-1][1]["type"] == "done"
        assert "".join(data["content"] for _, data in events[:-1]) == "".join(WORDS)
        await wait_until(lambda: endpoint.open == 0, seconds=SEND_SECONDS + 10, what="the endpoint is let go")
        await wait_until(lambda: is_cut(client), seconds=10, what="the connection is ended")

    async def are_gone() -> bool:
        return await streams(chat) == 0

    await wait_until(are_gone, seconds=10, what="nothing is left of it")


async def test_who_goes_ends_the_generation(
    settings: Settings, chat: httpx.AsyncClient, endpoint: Endpoint
) -> None:
    async with chat.stream("POST", "/chat/stream", json={"message": ENDLESS}) as response:
        request_id = response.headers["x-request-id"]
        async for line in response.aiter_lines():
            if line == "id: 3":
                break
    await wait_until(lambda: endpoint.open == 0, seconds=10, what="the endpoint is let go")
    trace = await trace_of(settings, request_id)
    assert {"CHAT_MODEL", "RETRIEVER"} <= {span.span_type for span in trace.data.spans}
    root = root_of(trace)
    assert root.attributes["error"] == "the client left"
    assert root.attributes["token_count"] > 3
