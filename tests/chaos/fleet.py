"""The consumer processes of a run: hit by faults, started again, weighed, and ended at last."""

import asyncio
import signal
from collections.abc import Callable, Iterator
from contextlib import suppress
from pathlib import Path
from typing import Final

import psutil
from support.consumers import Consumers, Running

_WATCH_SECONDS: Final = 0.5
_MIB: Final = 1024 * 1024


class Fleet:
    """Consumer processes by name; one that ends without having been told is noted and started again."""

    def __init__(self, consumers: Consumers, note: Callable[[str], None]) -> None:
        self._consumers = consumers
        self._note = note
        self._running: dict[str, Running] = {}
        self.peak_mib = 0.0
        self.ended: list[str] = []

    async def start(self, name: str, *, ready: bool = False) -> None:
        """Start one, in the place of one that has ended; what runs already stays."""
        if name in self._running:
            return
        running = await self._consumers.start("all", ready=ready)
        self._running[name] = running
        self._note(f"{name} is process {running.process.pid}, {running.log.name}")

    async def kill(self, name: str) -> None:
        """kill -9, unless it has ended."""
        if running := self._running.pop(name, None):
            await asyncio.to_thread(running.kill)

    async def end(self, name: str) -> None:
        """SIGTERM; a clean end has status 0, or is the signal where the process was still importing."""
        running = self._running.pop(name, None)
        if running and (status := await asyncio.to_thread(running.terminate)):
            if status == -signal.SIGTERM and not running.log.stat().st_size:
                return
            self.ended.append(f"{name}, told to end, ended with status {status}: {running.log}")

    async def end_all(self) -> None:
        """End all cleanly."""
        await asyncio.gather(*(self.end(name) for name in list(self._running)))

    def freeze(self, name: str) -> None:
        """SIGSTOP."""
        self._signal(name, signal.SIGSTOP)

    def thaw(self, name: str) -> None:
        """SIGCONT."""
        self._signal(name, signal.SIGCONT)

    def _signal(self, name: str, number: int) -> None:
        if running := self._running.get(name):
            running.process.send_signal(number)

    async def watch(self) -> None:
        """Weigh all, and start those again that have ended by themselves, until cancelled."""
        while True:
            self.peak_mib = max([self.peak_mib, *self._weights()])
            for name, running in list(self._running.items()):
                if (status := running.process.poll()) is not None:
                    self.ended.append(f"{name} ended by itself with status {status}: {running.log}")
                    self._note(self.ended[-1])
                    self._running.pop(name, None)
                    await self.start(name)
            await asyncio.sleep(_WATCH_SECONDS)

    def _weights(self) -> Iterator[float]:
        for running in self._running.values():
            with suppress(psutil.NoSuchProcess):
                yield psutil.Process(running.process.pid).memory_info().rss / _MIB

    @property
    def logs(self) -> list[Path]:
        """Give the logs of those that run now."""
        return [running.log for running in self._running.values()]
