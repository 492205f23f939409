"""`feedback demo` ends by itself with a ledger that MLflow agrees with."""

import asyncio
import json
import os
import sys
from pathlib import Path

import httpx
import pytest
from support.stack import Stack

from consumers.settings import Settings
from ops.demo import running_chat

EVENTS = 80


async def test_the_demo_ends_with_a_ledger_that_mlflow_agrees_with(stack: Stack, tmp_path: Path) -> None:
    process = await asyncio.create_subprocess_exec(
        *(sys.executable, "-m", "ops.cli", "demo", "--events", str(EVENTS), "--exit", "--json"),
        env=os.environ | {"FEEDBACK_LOCAL_DIR": str(stack.home or tmp_path / "demo")},
        stdout=asyncio.subprocess.PIPE,
        stderr=asyncio.subprocess.PIPE,
    )
    out, err = await process.communicate()
    assert process.returncode == 0, err.decode()[-4000:]
    (line,) = out.decode().splitlines()
    ledger = json.loads(line)
    assert ledger["records"] == EVENTS
    assert ledger["lag"] == 0
    assert ledger["differences"] == []
    ends = [ledger[name] for name in ("logged", "superseded", "withdrawn", "dead")]
    assert ledger["published"] == sum(ends)
    assert all(ends), "each outcome is shown"


async def test_its_chat_service_is_open_on_this_machine_alone_and_says_so(
    stack: Stack, settings: Settings, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    (tmp_path / "logs").mkdir()
    monkeypatch.setenv("FEEDBACK_LOCAL_DIR", str(tmp_path))
    async with running_chat(settings) as address, httpx.AsyncClient(base_url=address) as client:
        assert address.startswith("http://127.0.0.1:")
        config = (await client.get("/v1/config")).json()
        assert config["open"] is True
        assert "FEEDBACK_API_OPEN" in config["notice"]
        assert config["mlflow_url"] == stack.mlflow
        rebound = await client.get("/v1/config", headers={"Host": "elsewhere.example"})
        assert rebound.status_code == 400
