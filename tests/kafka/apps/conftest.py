"""One world: consumers, the chat service, open as in the demo, and `feedback run ingest`, closed."""

from collections.abc import AsyncIterator
from pathlib import Path
from typing import Any

import httpx
import pytest
from support.apps import CHAT, INGEST, running
from support.consumers import Consumers
from support.stack import Stack, make_settings

from consumers.settings import Settings
from ops.topics import create_topics


@pytest.fixture(scope="package")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return tmp_path_factory.mktemp("apps")


@pytest.fixture(scope="package")
async def settings(stack: Stack, folder: Path) -> AsyncIterator[Settings]:
    settings = make_settings(stack)
    await create_topics(settings)
    with Consumers(settings, folder) as consumers:
        await consumers.start("all", ready=False)
        yield settings


@pytest.fixture(scope="package")
async def chat(settings: Settings, folder: Path) -> AsyncIterator[httpx.AsyncClient]:
    environment: dict[str, Any] = {
        "FEEDBACK_API_OPEN": "true",
        "FEEDBACK_CHAT_RECONNECT_SECONDS": "1",
        "FEEDBACK_API_RATE_ADDRESS": "",
    }
    async with running(CHAT, settings, folder, **environment) as client:
        yield client


@pytest.fixture(scope="package")
async def ingest(settings: Settings, folder: Path) -> AsyncIterator[httpx.AsyncClient]:
    environment: dict[str, Any] = {"FEEDBACK_API_RATE_USER": "30/minute", "FEEDBACK_API_LOOKUP_SECONDS": "0"}
    async with running(INGEST, settings, folder, **environment) as client:
        yield client
