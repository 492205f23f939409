"""Bringing one part up, whatever an earlier run left behind, and ending it without a trace."""

from __future__ import annotations

import signal
import threading
import time
from contextlib import suppress

import psutil

from local import ports, processes
from local.errors import LocalStackError, failure
from local.files import rotate
from local.part import Part
from local.progress import Progress
from local.records import Record

_POLL_SECONDS = 0.05
_STALLED_SECONDS = 10.0
_GONE_SECONDS = 10.0
_BUSY = "see the log; a machine that is very busy may need another `up`"


class Broken(LocalStackError):  # noqa: N818 - a consequence of another part's error
    """A part was not brought up on account of another, whose own error says why."""

    def __init__(self, part: str, what: str) -> None:
        super().__init__(f"{part}: {what}")


def alive(part: Part) -> Record | None:
    """Give the part's record where its process runs."""
    record = Record.load(part.home.record(part.name))
    return record if record and record.process() else None


def all_processes(part: Part) -> list[psutil.Process]:
    """Give every living process of the part, its first one first."""
    record = alive(part)
    first = record.process() if record else None
    others = [process for process in processes.marked(part.mark, part.process_folder) if process != first]
    return ([first] if first else []) + others


def problem(part: Part, address: str) -> str | None:
    """Ask the part whether it works; give what is wrong in one line, None where nothing is."""
    try:
        part.check(address)
    except Exception as error:  # noqa: BLE001 - whatever a client library raises means "not healthy"
        return f"{type(error).__name__}: {error}".splitlines()[0]
    return None


def ensure(part: Part, progress: Progress, cancelled: threading.Event) -> str:
    """Leave a working part as it is, else start it; give its address."""
    record = alive(part)
    if record is None or record.relies_on != _needed(part) or _stalled(part, record):
        address = start(part, progress, cancelled)
    else:
        address = record.address
    part.settle(address)
    return address


def _needed(part: Part) -> dict[str, str]:
    records = {need: Record.load(part.home.record(need)) for need in part.needs}
    return {need: record.address for need, record in records.items() if record}


def _stalled(part: Part, record: Record) -> bool:
    """Wait a moment for a process that runs but does not answer: it may be starting, or busy."""
    deadline = time.monotonic() + _STALLED_SECONDS
    while problem(part, record.address) is not None:
        if time.monotonic() > deadline or record.process() is None:
            return True
        time.sleep(_POLL_SECONDS)
    return False


def start(part: Part, progress: Progress, cancelled: threading.Event) -> str:
    """Start the part afresh, after ending whatever is left of an earlier one; give its address."""
    processes.kill_all(all_processes(part))
    progress.step(part.name, "starting")
    chosen = ports.claim(part.home.ports, part.port_names)
    address = part.address(chosen[part.port_names[0]])
    rotate(part.log)
    part.prepare(chosen)
    pid = processes.spawn(part.launch(chosen), part.log, part.mark)
    with suppress(psutil.NoSuchProcess):
        Record.of(pid, address, _needed(part)).save(part.home.record(part.name))
    _wait_ready(part, address, cancelled)
    return address


def _wait_ready(part: Part, address: str, cancelled: threading.Event) -> None:
    deadline = time.monotonic() + part.ready_seconds
    while (wrong := problem(part, address)) is not None:
        processes.reap()
        if alive(part) is None:
            raise failure(part.name, "ended while it was starting", "see the last lines of the log", part.log)
        if cancelled.is_set():
            raise Broken(part.name, "not waited for, because the start was broken off")
        if time.monotonic() > deadline:
            what = f"did not answer within {part.ready_seconds:.0f} s ({wrong})"
            raise failure(part.name, what, _BUSY, part.log)
        time.sleep(_POLL_SECONDS)


def end(part: Part) -> bool:
    """End every process of the part, gently first; say whether there was any."""
    found = all_processes(part)
    if found:
        # The first process ends its own children in good order; those that outlived it get the same signal.
        processes.send(found[:1] if alive(part) else found, part.stop_signal)
        processes.wait_gone(found, part.stop_seconds)
        processes.kill_all(all_processes(part))
    part.home.record(part.name).unlink(missing_ok=True)
    return bool(found)


def signal_part(part: Part, number: int, *, first_only: bool = False) -> list[int]:
    """Send a signal to the part's processes, wait for their end if it is SIGKILL, and give their ids."""
    found = all_processes(part)[: 1 if first_only else None]
    processes.send(found, number)
    if number == signal.SIGKILL:
        processes.wait_gone(found, _GONE_SECONDS)
    return [process.pid for process in found]
