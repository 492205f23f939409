"""Real consumer processes, as an operator starts them."""

import os
import signal
import subprocess
import sys
from dataclasses import dataclass
from pathlib import Path
from types import TracebackType
from typing import Self

import httpx

from consumers.settings import Settings, to_environment
from local.ports import free_port
from support.waiting import wait_until

_READY_SECONDS = 40
_END_SECONDS = 40


@dataclass(slots=True)
class Running:
    """One process of `feedback run`, with its log."""

    process: subprocess.Popen[bytes]
    port: int
    log: Path

    def kill(self) -> None:
        """kill -9."""
        self.process.kill()
        self.process.wait(_END_SECONDS)

    def terminate(self) -> int:
        """SIGTERM; gives the exit status."""
        self.process.send_signal(signal.SIGTERM)
        return self.process.wait(_END_SECONDS)

    def get(self, path: str) -> httpx.Response:
        """Ask its HTTP port."""
        return httpx.get(f"http://127.0.0.1:{self.port}{path}", timeout=5)

    def answers(self, path: str, status: int, *texts: str) -> bool:
        """Tell whether its HTTP port gives this status and these texts now."""
        try:
            response = self.get(path)
        except httpx.TransportError:
            return False
        return response.status_code == status and all(text in response.text for text in texts)

    def is_ready(self) -> bool:
        """Tell whether it works; fails when it has ended."""
        assert self.process.poll() is None, self.log.read_text()[-4000:]
        try:
            return self.get("/readyz").status_code == httpx.codes.OK
        except httpx.TransportError:
            return False


class Consumers:
    """Starts processes of `feedback run` and ends them all."""

    def __init__(self, settings: Settings, folder: Path, **environment: str) -> None:
        self._settings = settings
        self._folder = folder
        self._environment = environment
        self._started: list[Running] = []

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        for running in self._started:
            if running.process.poll() is None:
                running.kill()

    async def start(
        self,
        name: str = "all",
        *arguments: str,
        ready: bool = True,
        port: int | None = None,
        **environment: str,
    ) -> Running:
        """Start one process, and wait until it is ready."""
        port = free_port() if port is None else port
        log = self._folder / f"{name}-{len(self._started)}.log"
        variables = to_environment(self._settings) | {"FEEDBACK_HTTP_PORT": str(port)}
        variables |= self._environment | environment
        with log.open("wb") as out:
            process = subprocess.Popen(  # noqa: ASYNC220 - it is started, not awaited
                [sys.executable, "-m", "ops.cli", "run", name, *arguments],
                env=os.environ | variables,
                stdout=out,
                stderr=out,
            )
        running = Running(process, port, log)
        self._started.append(running)
        if ready:
            await wait_until(running.is_ready, seconds=_READY_SECONDS, what=f"{name} is ready")
        return running
