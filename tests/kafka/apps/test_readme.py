"""The curls of README.md, as they are written."""

import asyncio
import os
import re
import shutil
from pathlib import Path

import httpx
import pytest
from support.apps import logged
from support.waiting import wait_until
from support.world import value_of

from consumers.settings import Settings

ROOT = Path(__file__).parents[3]
NAMES = {
    "user_feedback": True,
    "user_accuracy": 0.8,
    "user_helpfulness": 1.0,
    "user_relevance": 0.6,
    "tone": 0.8,
    "links": 2.0,
    "found_it": True,
}


def curls(address: str) -> str:
    text = (ROOT / "README.md").read_text(encoding="utf-8").partition("## The same by curl")[2]
    found = re.search(r"```sh\n(.*?)```", text, re.DOTALL)
    assert found is not None
    script = found[1].replace("http://127.0.0.1:8000", address).replace("curl -s", "curl --fail-with-body -s")
    return f"set -e\n{script}\necho; echo trace=$T"


@pytest.mark.skipif(shutil.which("curl") is None, reason="curl is not on this machine")
async def test_the_curls_end_in_mlflow(settings: Settings, chat: httpx.AsyncClient) -> None:
    process = await asyncio.create_subprocess_exec(
        *("bash", "-c", curls(str(chat.base_url).rstrip("/"))),
        cwd=ROOT,
        env=os.environ | {"MLFLOW_TRACKING_URI": settings.mlflow_tracking_uri},
        stdout=asyncio.subprocess.PIPE,
        stderr=asyncio.subprocess.STDOUT,
    )
    out = (await process.communicate())[0].decode()
    assert process.returncode == 0, out
    assert '"type":"done"' in out
    assert '"status":"withdrawn"' in out
    trace_id = out.rpartition("trace=")[2].strip()

    def is_logged() -> bool:
        found = logged(settings, trace_id)
        return {*NAMES, "expected_answer"} == set(found)

    await wait_until(is_logged, seconds=15, what="all but the withdrawn one are in MLflow")
    found = logged(settings, trace_id)
    assert {name: value_of(found[name]) for name in NAMES} == NAMES
    assert found["found_it"]["span_id"]
    assert "expectation" in found["expected_answer"]
