"""Which process a part is: kept in a file, believed only while that process is the one that was started."""

from __future__ import annotations

import json
from dataclasses import asdict, dataclass
from pathlib import Path

import psutil

from local.files import write_whole
from local.processes import lives

# The start of a process is read with a resolution of 10 ms, and moves a little when the clock is set.
_SAME_START_SECONDS = 1.0


@dataclass(frozen=True, slots=True)
class Record:
    """A part's process: its id, its start in Unix seconds, its address, the addresses it was told of others.

    The start keeps an id that was given to another process meanwhile from being taken for the part.
    """

    pid: int
    started: float
    address: str
    relies_on: dict[str, str]

    @classmethod
    def of(cls, pid: int, address: str, relies_on: dict[str, str]) -> Record:
        """Record a process that runs now; raises psutil.NoSuchProcess where it has ended already."""
        return cls(pid, psutil.Process(pid).create_time(), address, relies_on)

    @classmethod
    def load(cls, file: Path) -> Record | None:
        """Read a record; None where there is none or it is damaged."""
        try:
            return cls(**json.loads(file.read_text()))
        except (OSError, ValueError, TypeError):
            return None

    def save(self, file: Path) -> None:
        """Write the record whole."""
        write_whole(file, json.dumps(asdict(self)))

    def process(self) -> psutil.Process | None:
        """Give the living process; None where it has ended, is a zombie, or its id is another's by now."""
        try:
            process = psutil.Process(self.pid)
            same = abs(process.create_time() - self.started) < _SAME_START_SECONDS
        except psutil.NoSuchProcess:
            return None
        return process if same and lives(process) else None
