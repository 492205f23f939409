"""Progress shown to a person on stderr: a moving line for each part, or plain lines without a terminal.

Nothing goes to stdout, which belongs to `--json`.
"""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from threading import Lock

from rich.columns import Columns
from rich.console import Console, RenderableType
from rich.progress import BarColumn, Progress, ProgressColumn, SpinnerColumn, Task, TaskID, TextColumn

from local import progress

_MEGABYTE = 1_000_000


@contextmanager
def shown(console: Console | None = None) -> Iterator[progress.Progress]:
    """Give a Progress that shows itself on `console` (default: stderr) while the block runs."""
    target = console or Console(stderr=True)
    if not target.is_terminal:
        yield Plain(target)
        return
    with _bars(target) as bars:
        yield Bars(bars)


class Plain:
    """One line for each step, as a log wants it."""

    def __init__(self, console: Console) -> None:
        self._console = console

    def step(self, name: str, text: str) -> None:
        """Write what the part begins."""
        self._write(name, text)

    def advance(self, name: str, done: int, total: int) -> None:
        """Write only when all has come: a line for each piece would bury the rest."""
        if done == total > 0:
            self._write(name, f"fetched {total / _MEGABYTE:.0f} MB")

    def done(self, name: str, seconds: float) -> None:
        """Write that the part is ready."""
        self._write(name, f"ready after {seconds:.1f} s")

    def _write(self, name: str, text: str) -> None:
        self._console.print(f"{name}: {text}", markup=False, highlight=False)


class Bars:
    """A line for each part, with a bar while something is fetched."""

    def __init__(self, bars: Progress) -> None:
        self._bars = bars
        self._lines: dict[str, TaskID] = {}
        self._lock = Lock()

    def step(self, name: str, text: str) -> None:
        """Show what the part is doing; a bar of the step before goes."""
        self._bars.update(self._line(name), text=text, total=None, completed=0)

    def advance(self, name: str, done: int, total: int) -> None:
        """Move the bar."""
        self._bars.update(self._line(name), total=total or None, completed=done)

    def done(self, name: str, seconds: float) -> None:
        """Mark the line as ready."""
        text = f"[green]ready[/] after {seconds:.1f} s"
        self._bars.update(self._line(name), text=text, total=1, completed=1)

    def _line(self, name: str) -> TaskID:
        with self._lock:
            if name not in self._lines:
                self._lines[name] = self._bars.add_task(name, total=None, text="")
            return self._lines[name]


class _Fetched(ProgressColumn):
    """A bar with megabytes while the size of what is fetched is known, else nothing."""

    def __init__(self) -> None:
        super().__init__()
        self._bar = BarColumn(bar_width=24)

    def render(self, task: Task) -> RenderableType:
        """Draw both, unless there is nothing to measure or all of it has come."""
        if task.total is None or task.finished:
            return ""
        size = f"{task.completed / _MEGABYTE:.0f}/{task.total / _MEGABYTE:.0f} MB"
        return Columns([self._bar.render(task), size])


def _bars(console: Console) -> Progress:
    return Progress(
        SpinnerColumn(finished_text="[green]✓[/]"),
        TextColumn("[bold]{task.description}[/]"),
        TextColumn("{task.fields[text]}"),
        _Fetched(),
        console=console,
    )
