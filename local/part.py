"""What the stack needs to know of a part; Kafka, Postgres and MLflow each say it in their own module."""

from __future__ import annotations

import signal
from abc import ABC, abstractmethod
from pathlib import Path
from typing import ClassVar

from local.errors import LocalStackError
from local.home import Home
from local.processes import Launch
from local.progress import Progress


class Unhealthy(LocalStackError):  # noqa: N818 - an answer to "how are you?" more than an error
    """A part answers, but not as a working one does."""

    def __init__(self, part: str, what: str) -> None:
        super().__init__(f"{part}: {what}")


class Part(ABC):
    """One server process of the stack, with its data, ports, log and health."""

    name: str
    ready_seconds: ClassVar[float] = 60
    stop_signal: ClassVar[signal.Signals] = signal.SIGTERM
    stop_seconds: ClassVar[float] = 15
    # The names of the parts that must work before this one is started.
    needs: ClassVar[tuple[str, ...]] = ()

    def __init__(self, home: Home, name: str) -> None:
        self.home = home
        self.name = name

    @property
    def data(self) -> Path:
        """Give the part's own folder."""
        return self.home.data(self.name)

    @property
    def log(self) -> Path:
        """Give the part's log."""
        return self.home.log(self.name)

    @property
    def mark(self) -> str:
        """Give what tells this part's processes from those of any other stack."""
        return f"{self.home.root}:{self.name}"

    @property
    def process_folder(self) -> Path | None:
        """Give the working folder that tells this part's processes, where their environment does not."""
        return None

    @property
    def port_names(self) -> list[str]:
        """Give the names of the ports that the part listens on, the one of its address first."""
        return [self.name]

    @abstractmethod
    def fetch(self, progress: Progress) -> None:
        """Bring what must be downloaded; needs no other part."""

    @abstractmethod
    def prepare(self, ports: dict[str, int]) -> None:
        """Write what the process reads at its start; called when none of its processes is alive."""

    @abstractmethod
    def launch(self, ports: dict[str, int]) -> Launch:
        """Say how the process is started."""

    @abstractmethod
    def address(self, port: int) -> str:
        """Give the address that others reach it by."""

    @abstractmethod
    def check(self, address: str) -> None:
        """Ask the part something that only a working one answers; raises whatever went wrong."""

    def settle(self, address: str) -> None:  # noqa: B027 - most parts have nothing to do here
        """Do what is left to do once the part answers; called at each `up`, so cheap when all is done."""
