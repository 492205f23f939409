"""What the stack tells while it works; `display.py` has the two ways to show it."""

from __future__ import annotations

from typing import Protocol


class Progress(Protocol):
    """Hears of each part's steps; called from several threads at once."""

    def step(self, name: str, text: str) -> None:
        """Say that the part `name` has begun with `text`."""

    def advance(self, name: str, done: int, total: int) -> None:
        """Say how many bytes of `total` the present step has behind it."""

    def done(self, name: str, seconds: float) -> None:
        """Say that the part is ready, and after how long."""


class Silent:
    """Progress that nobody watches."""

    def step(self, name: str, text: str) -> None:
        """Keep quiet."""

    def advance(self, name: str, done: int, total: int) -> None:
        """Keep quiet."""

    def done(self, name: str, seconds: float) -> None:
        """Keep quiet."""
