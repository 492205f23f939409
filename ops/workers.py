"""Several processes of `feedback run` on one machine: started, ended and watched by one parent."""

import asyncio
import os
import signal
import subprocess
import sys
import threading
import time
from collections.abc import Mapping, Sequence
from contextlib import suppress
from typing import Any, Final

import structlog

from consumers.settings import Settings
from ops.errors import WorkersError

log = structlog.get_logger(__name__)

_LAST_PORT: Final = 65_535
_ENDING_SECONDS: Final = 20
"""What a worker may take beyond FEEDBACK_SHUTDOWN_SECONDS before it is killed: it bounds itself at 15."""


def ports_of(settings: Settings, count: int) -> list[int]:
    """Give each worker's port for health and metrics: one after the other, or free ones.

    Raises:
        WorkersError: when there are not so many.

    """
    first = settings.http_port
    if first == 0:
        return [0] * count
    if first + count - 1 > _LAST_PORT:
        msg = (
            f"FEEDBACK_HTTP_PORT: {count} workers need the ports {first} to {first + count - 1}, "
            f"and the last is {_LAST_PORT}: set a lower one, or 0 for free ones"
        )
        raise WorkersError(msg)
    return list(range(first, first + count))


async def run_workers(name: str, settings: Settings, count: int) -> bool:
    """Run workers until SIGTERM or SIGINT ends them all, or one of them ends by an error.

    A worker ends by itself when we are gone: it watches its standard input, which only we hold open.

    Returns:
        whether all of them ended without an error.

    """
    ports = ports_of(settings, count)
    stop = asyncio.Event()
    for number in (signal.SIGTERM, signal.SIGINT):
        asyncio.get_running_loop().add_signal_handler(number, stop.set)
    workers = [
        _Worker(number, await _start(name, {"FEEDBACK_HTTP_PORT": str(port)}))
        for number, port in enumerate(ports, 1)
    ]
    log.info("workers_started", workers=count, pids=[worker.process.pid for worker in workers])
    ended = [asyncio.create_task(worker.end(stop)) for worker in workers]
    stopping = asyncio.create_task(stop.wait())
    whatever: list[asyncio.Task[Any]] = [stopping, asyncio.create_task(asyncio.wait(ended))]
    await asyncio.wait(whatever, return_when=asyncio.FIRST_COMPLETED)
    if stop.is_set():
        for worker in workers:
            worker.terminate()
    _, late = await asyncio.wait(ended, timeout=settings.shutdown_seconds + _ENDING_SECONDS)
    if late:
        log.error("workers_killed", why="they did not end in time", workers=len(late))
        for worker in workers:
            worker.kill()
    results = await asyncio.gather(*ended)
    stopping.cancel()
    return all(results)


class _Worker:
    """One process."""

    def __init__(self, number: int, process: asyncio.subprocess.Process) -> None:
        self.number = number
        self.process = process
        self._is_told = False

    async def end(self, stop: asyncio.Event) -> bool:
        """Wait for its end, tell the others when it was an error, and give whether it was none."""
        status = await self.process.wait()
        # One that has only begun to start does not know of SIGTERM yet.
        is_clean = status == 0 or (self._is_told and status == -signal.SIGTERM)
        say = log.info if is_clean else log.critical
        say("worker_ended", worker=self.number, pid=self.process.pid, status=status)
        if not is_clean:
            stop.set()
        return is_clean

    def terminate(self) -> None:
        """Tell it to end."""
        self._is_told = True
        with suppress(ProcessLookupError):
            self.process.terminate()

    def kill(self) -> None:
        """End it at once."""
        with suppress(ProcessLookupError):
            self.process.kill()


async def _start(name: str, variables: Mapping[str, str]) -> asyncio.subprocess.Process:
    # A group of its own: Ctrl-C in a terminal reaches us alone, and each of them once, by us.
    return await asyncio.create_subprocess_exec(
        *worker_command(name), stdin=subprocess.PIPE, env=os.environ | dict(variables), process_group=0
    )


def worker_command(name: str) -> Sequence[str]:
    """Give the command of one worker."""
    return sys.executable, "-m", "ops.cli", "run", name, "--end-with-stdin"


def end_with_stdin(settings: Settings) -> None:
    """End this process, as SIGTERM does, once nobody holds its standard input open any more."""
    seconds = settings.shutdown_seconds + _ENDING_SECONDS

    def watch() -> None:
        while os.read(sys.stdin.fileno(), 1):
            pass
        os.kill(os.getpid(), signal.SIGTERM)
        time.sleep(seconds)
        os._exit(1)

    threading.Thread(target=watch, name="parent", daemon=True).start()
