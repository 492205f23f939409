"""What the tests of the stack look at: processes, and conditions that come true in a while."""

from __future__ import annotations

import os
import time
from collections.abc import Callable
from pathlib import Path

import psutil


def processes_in(folder: Path) -> list[str]:
    """Command lines of the living processes that have anything to do with the folder."""
    return [
        " ".join(process.cmdline()) for process in psutil.process_iter() if _concerns(process, str(folder))
    ]


def _concerns(process: psutil.Process, folder: str) -> bool:
    try:
        if process.pid == os.getpid() or process.status() == psutil.STATUS_ZOMBIE:
            return False
        told = [*process.cmdline(), process.cwd(), *process.environ().values()]
        return any(folder in text for text in told)
    except psutil.Error:
        return False


def wait_until(condition: Callable[[], object], seconds: float = 30) -> None:
    deadline = time.monotonic() + seconds
    while not condition():
        assert time.monotonic() < deadline, "the condition did not come true in time"
        time.sleep(0.02)
