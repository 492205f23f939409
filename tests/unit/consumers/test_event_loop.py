"""The loop that consumers run on."""

import asyncio

import pytest
import uvloop

from consumers import event_loop
from consumers.event_loop import run_async


async def loop_now() -> asyncio.AbstractEventLoop:
    return asyncio.get_running_loop()


def test_it_is_uvloops() -> None:
    assert isinstance(run_async(loop_now()), uvloop.Loop)


def test_without_uvloop_it_is_pythons_own(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(event_loop, "find_spec", lambda _name: None)
    assert not isinstance(run_async(loop_now()), uvloop.Loop)
