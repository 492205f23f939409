"""Where the stack keeps what it keeps: one folder, which may be deleted when the stack is down."""

from __future__ import annotations

import os
import shutil
from dataclasses import dataclass
from pathlib import Path

from local.errors import failure

HOME_VARIABLE = "FEEDBACK_LOCAL_DIR"
CACHE_VARIABLE = "FEEDBACK_LOCAL_CACHE_DIR"
_STATE = ("data", "logs", "run")


@dataclass(frozen=True, slots=True)
class Home:
    """The folders of one stack; `cache` holds downloads only and may be shared by several stacks."""

    root: Path
    cache: Path

    @classmethod
    def at(cls, root: Path | None = None) -> Home:
        """Choose the folder: the argument, else FEEDBACK_LOCAL_DIR, else `.local` here."""
        chosen = (root or Path(os.environ.get(HOME_VARIABLE) or ".local")).expanduser().resolve()
        cache = os.environ.get(CACHE_VARIABLE)
        return cls(chosen, Path(cache).expanduser().resolve() if cache else chosen / "cache")

    def data(self, part: str) -> Path:
        """Give the folder that holds what a part must not lose."""
        return self.root / "data" / part

    def log(self, name: str) -> Path:
        """Give the log file of a part or of a preparing step."""
        return self.root / "logs" / f"{name}.log"

    def record(self, part: str) -> Path:
        """Give the file that says which process a part is."""
        return self.root / "run" / f"{part}.json"

    @property
    def ports(self) -> Path:
        """Give the file of the ports, kept over `down` so that addresses stay."""
        return self.root / "run" / "ports.json"

    @property
    def lock(self) -> Path:
        """Give the file that one `up` or `down` at a time holds locked."""
        return self.root / "lock"

    @property
    def _mark(self) -> Path:
        return self.root / ".feedback-local"

    def is_ours(self) -> bool:
        """Say whether a stack has been up in this folder."""
        return self._mark.exists()

    def make(self) -> None:
        """Create the folders that every part relies on; refuses a folder that holds other things.

        `.local` in a person's own home folder is such a one.
        """
        self.root.mkdir(parents=True, exist_ok=True)
        if not self.is_ours() and {path.name for path in self.root.iterdir()} - {"cache"}:
            what = f"{self.root} is not empty, and not a folder of the local stack"
            raise failure("stack", what, f"name another by {HOME_VARIABLE}, or run from the project's folder")
        self._mark.touch()
        for folder in (*(self.root / name for name in _STATE), self.cache):
            folder.mkdir(parents=True, exist_ok=True)

    def purge(self) -> None:
        """Delete data, logs and ports; the downloads stay."""
        for name in _STATE:
            shutil.rmtree(self.root / name, ignore_errors=True)
