"""`feedback demo` ends by itself with a ledger that MLflow agrees with."""

import asyncio
import json
import os
import sys
from pathlib import Path

from support.stack import Stack

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
