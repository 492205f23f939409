"""Starting processes that outlive us, finding all that belong to a part, and ending those and no others."""

from __future__ import annotations

import contextlib
import os
import signal
import subprocess
import time
from dataclasses import dataclass, field
from pathlib import Path

import psutil

_POLL_SECONDS = 0.02
MARK = "FEEDBACK_LOCAL_PART"
# Kept so that a part that dies while its starter lives is reaped, and no ResourceWarning says it still runs.
_started: list[subprocess.Popen[bytes]] = []


@dataclass(frozen=True, slots=True)
class Launch:
    """How a process is begun: arguments, folder, what the environment gains, what it loses (by prefix)."""

    argv: list[str]
    cwd: Path
    environment: dict[str, str] = field(default_factory=dict)
    without: tuple[str, ...] = ()


def child_environment(launch: Launch) -> dict[str, str]:
    """Give our own environment with the launch's changes."""
    kept = {name: value for name, value in os.environ.items() if not name.startswith(launch.without)}
    return kept | launch.environment


def spawn(launch: Launch, log: Path, mark: str) -> int:
    """Start a process in a session of its own, its output in `log`; give its id.

    The mark goes into the environment, which children inherit: it finds them once their parent is gone.
    """
    with log.open("ab") as output:
        process = subprocess.Popen(
            launch.argv,
            cwd=launch.cwd,
            env=child_environment(launch) | {MARK: mark},
            stdin=subprocess.DEVNULL,
            stdout=output,
            stderr=subprocess.STDOUT,
            start_new_session=True,
        )
    _started.append(process)
    return process.pid


def run(launch: Launch, log: Path, seconds: float) -> int:
    """Run a program to its end, its output in `log`; give its exit code. Raises subprocess.TimeoutExpired."""
    with log.open("ab") as output:
        return subprocess.run(
            launch.argv,
            cwd=launch.cwd,
            env=child_environment(launch),
            stdin=subprocess.DEVNULL,
            stdout=output,
            stderr=subprocess.STDOUT,
            timeout=seconds,
            check=False,
        ).returncode


def reap() -> None:
    """Take note of those of our children that have ended."""
    for process in [process for process in _started if process.poll() is not None]:
        # Two threads may find the same one; and none may lose what another has just added.
        with contextlib.suppress(ValueError):
            _started.remove(process)


def marked(mark: str, folder: Path | None = None) -> list[psutil.Process]:
    """Find the living processes of a part: by their mark or, for Postgres' own, by their working folder.

    Postgres overwrites its environment to show what it is doing, so `folder` is what tells its processes.
    """
    reap()
    return [process for process in psutil.process_iter() if _belongs(process, mark, folder)]


def _belongs(process: psutil.Process, mark: str, folder: Path | None) -> bool:
    try:
        if process.status() == psutil.STATUS_ZOMBIE:
            return False
        if folder is not None and process.name() == "postgres" and _works_in(process, folder):
            return True
        return bool(process.environ().get(MARK) == mark)
    except (psutil.Error, OSError):
        return False


def _works_in(process: psutil.Process, folder: Path) -> bool:
    # Linux says so behind the path of a folder that was deleted under the process.
    return bool(process.cwd().removesuffix(" (deleted)") == str(folder))


def send(processes: list[psutil.Process], number: int) -> None:
    """Send a signal to each; those that have ended meanwhile are passed over."""
    for process in processes:
        with contextlib.suppress(psutil.NoSuchProcess):
            process.send_signal(number)


def wait_gone(processes: list[psutil.Process], seconds: float) -> None:
    """Wait until all have ended, at most so long.

    A zombie has ended, whereas psutil would wait until the machine's first process has taken note of it.
    """
    deadline = time.monotonic() + seconds
    while any(map(lives, processes)) and time.monotonic() < deadline:
        time.sleep(_POLL_SECONDS)
        reap()


def lives(process: psutil.Process) -> bool:
    """Say whether the process has not ended; while threads of it are ending it still holds its ports."""
    try:
        ended = process.status() == psutil.STATUS_ZOMBIE and process.num_threads() <= 1
        return bool(process.is_running() and not ended)
    except psutil.NoSuchProcess:
        return False


def kill_all(processes: list[psutil.Process]) -> None:
    """End processes that did not end by themselves, and wait until they are gone."""
    send(processes, signal.SIGKILL)
    wait_gone(processes, seconds=10)
