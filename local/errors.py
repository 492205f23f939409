"""The one error that a person meets when the local stack cannot do what was asked."""

from __future__ import annotations

from pathlib import Path

_TAIL_LINES = 20


class LocalStackError(RuntimeError):
    """A part could not be fetched, started or found; the text says which, why, where to look, the mend."""


def tail(log: Path, lines: int = _TAIL_LINES) -> str:
    """Give the last lines of a log, indented for quoting; a missing log says so."""
    if not log.exists():
        return "    (no log was written)"
    text = log.read_text(errors="replace").splitlines()[-lines:]
    return "\n".join(f"    {line}" for line in text) or "    (the log is empty)"


def failure(part: str, what: str, mend: str, log: Path | None = None) -> LocalStackError:
    """Build the error for a part; the end of its log is quoted where one is given."""
    lines = [f"{part}: {what}"]
    if log is not None:
        lines += [f"  log: {log}", tail(log)]
    return LocalStackError("\n".join([*lines, f"  mend: {mend}"]))
