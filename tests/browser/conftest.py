"""The pages in a real browser, on the real stack: one world and one chat service for all of these tests."""

import os
import shutil
import signal
import subprocess
import sys
from collections.abc import AsyncIterator, Callable, Iterator
from functools import partial
from pathlib import Path
from typing import Any

import httpx
import pytest
from chaos.proxy import Proxy
from playwright.async_api import Browser, BrowserContext, ConsoleMessage, async_playwright, expect
from support.consumers import Consumers
from support.stack import Stack, make_settings
from support.waiting import wait_until

from browser.person import Person, Visit
from consumers.settings import Settings, to_environment
from local import stack as local_stack
from local.ports import free_port
from ops.topics import create_topics

_ROOT = Path(__file__).parents[2]
_START_SECONDS = 60
_END_SECONDS = 30
_EXPECT_MS = 20_000
_POLICY = "Content Security Policy"
# Without these it looks for its maker's servers at each start.
_QUIET = (
    *("--no-sandbox", "--disable-gpu", "--disable-quic", "--no-first-run"),
    *("--disable-background-networking", "--disable-component-update", "--disable-sync"),
)


@pytest.fixture(scope="session")
def chromium() -> str:
    """Where Chromium is; CI must have it."""
    found = shutil.which("chromium") or shutil.which("chromium-browser") or shutil.which("google-chrome")
    if found is None and os.environ.get("CI") == "true":
        pytest.fail("there is no Chromium on this machine; .ci/run installs it")
    if found is None:
        pytest.skip("there is no Chromium on this machine (Debian, Ubuntu: apt-get install chromium)")
    return found


@pytest.fixture(scope="session")
async def browser(chromium: str, proxy: Proxy) -> AsyncIterator[Browser]:  # noqa: ARG001 - it ends before it
    """A Chromium without a window."""
    expect.set_options(timeout=_EXPECT_MS)
    async with async_playwright() as playwright:
        browser = await playwright.chromium.launch(executable_path=chromium, args=list(_QUIET))
        yield browser
        await browser.close()


@pytest.fixture(scope="session")
async def world(stack: Stack, tmp_path_factory: pytest.TempPathFactory) -> AsyncIterator[Settings]:
    """A world whose topics exist and whose consumers run."""
    settings = make_settings(stack)
    await create_topics(settings)
    with Consumers(settings, tmp_path_factory.mktemp("browser")) as consumers:
        await consumers.start()
        yield settings


@pytest.fixture(scope="session")
async def service(world: Settings, tmp_path_factory: pytest.TempPathFactory) -> AsyncIterator[int]:
    """The chat service, as an operator starts it; gives its port."""
    port = free_port()
    log = tmp_path_factory.mktemp("chat") / "chat.log"
    variables = to_environment(world) | {
        "FEEDBACK_HTTP_PORT": str(free_port()),
        "FEEDBACK_CHAT_PORT": str(port),
        "FEEDBACK_API_PUBLISH_SECONDS": "2",
        "FEEDBACK_CHAT_INSIGHTS_OPEN": "true",
        "FEEDBACK_API_RATE_USER": "",
        "FEEDBACK_API_RATE_ADDRESS": "",
    }
    with log.open("wb") as out:
        process = subprocess.Popen(  # noqa: ASYNC220 - it is started, not awaited
            [sys.executable, "-m", "apps.chat"], cwd=_ROOT, env=os.environ | variables, stdout=out, stderr=out
        )

    def answers() -> bool:
        assert process.poll() is None, log.read_text()[-4000:]
        try:
            return httpx.get(f"http://127.0.0.1:{port}/v1/config", timeout=5).is_success
        except httpx.TransportError:
            return False

    try:
        await wait_until(answers, seconds=_START_SECONDS, what="the chat service answers")
        yield port
    finally:
        process.send_signal(signal.SIGTERM)
        try:
            process.wait(_END_SECONDS)
        except subprocess.TimeoutExpired:
            process.kill()
            process.wait()


@pytest.fixture(scope="session")
def proxy(service: int) -> Iterator[Proxy]:
    """What stands between the browser and the service; it can cut their connections."""
    with Proxy(service) as proxy:
        yield proxy


@pytest.fixture
async def visit(browser: Browser, proxy: Proxy) -> AsyncIterator[Visit]:
    """Make browsers that have never been here; no page of theirs may want what its policy forbids."""
    contexts: list[BrowserContext] = []
    refused: list[str] = []

    def hear(message: ConsoleMessage) -> None:
        if message.type == "error" and _POLICY in message.text:
            refused.append(message.text)

    async def new_context(**options: Any) -> BrowserContext:
        context = await browser.new_context(base_url=f"http://127.0.0.1:{proxy.port}", **options)
        context.on("console", hear)
        contexts.append(context)
        return context

    yield new_context
    for context in contexts:
        await context.close()
    assert refused == []


@pytest.fixture
async def context(visit: Visit) -> BrowserContext:
    """A browser that has never been here."""
    return await visit()


@pytest.fixture
async def person(context: BrowserContext, world: Settings) -> Person:
    """Somebody who has the chat before them."""
    page = await context.new_page()
    await page.goto("/")
    return Person(page, world)


@pytest.fixture
def signal_kafka(stack: Stack) -> Iterator[Callable[[int], object]]:
    """Send a signal to the broker; a frozen one is thawed at the end."""
    if stack.home is None:
        pytest.skip("only a broker of our own can be frozen")
    send = partial(local_stack.kill_part, stack.home, "kafka")
    yield send
    send(signal.SIGCONT)
