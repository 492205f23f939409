"""Bringing all parts up side by side, each as soon as what it needs is there, and down again."""

from __future__ import annotations

import threading
import time
from collections.abc import Mapping
from concurrent.futures import FIRST_EXCEPTION, Future, ThreadPoolExecutor, wait
from dataclasses import dataclass, field

from local import runner
from local.errors import LocalStackError
from local.part import Part
from local.progress import Progress


@dataclass(slots=True)
class _Lift:
    progress: Progress
    began: float = field(default_factory=time.monotonic)
    cancelled: threading.Event = field(default_factory=threading.Event)
    reached: dict[str, Future[str]] = field(default_factory=dict)

    def bring(self, part: Part) -> str:
        part.fetch(self.progress)
        for need in part.needs:
            if self.reached[need].exception() is not None:
                raise runner.Broken(part.name, f"not started, because {need} is not up")
        address = runner.ensure(part, self.progress, self.cancelled)
        self.progress.done(part.name, time.monotonic() - self.began)
        return address


def lift(parts: list[Part], progress: Progress) -> Mapping[str, str]:
    """Bring the parts up and give the address of each, in the order of `parts`.

    Raises LocalStackError with what failed, after ending the parts that did not run before: a start that
    failed leaves nothing behind.
    """
    ran_before = {part.name for part in parts if runner.alive(part)}
    work = _Lift(progress)
    try:
        with ThreadPoolExecutor(len(parts)) as pool:
            # Each part has a thread of its own, so one that waits for another's result keeps nobody waiting.
            work.reached.update({part.name: Future() for part in parts})
            running = [pool.submit(_fulfil, work, part) for part in parts]
            try:
                wait(work.reached.values(), return_when=FIRST_EXCEPTION)
            except BaseException:
                work.cancelled.set()
                raise
            if any(_failed(future) for future in work.reached.values()):
                work.cancelled.set()
            wait(running)
        return _addresses(work)
    except BaseException:
        lower([part for part in parts if part.name not in ran_before])
        raise


def lower(parts: list[Part]) -> list[str]:
    """End the parts, each after those that need it, else side by side; give the names of those that ran.

    MLflow would fill its log with the loss of its database; the last of three Kafka nodes, ended one by one,
    would wait for the others.
    """
    leaning = [part for part in parts if part.needs]
    others = [part for part in parts if not part.needs]
    with ThreadPoolExecutor(len(parts) or 1) as pool:
        ran = [*zip(leaning, pool.map(runner.end, leaning), strict=True)]
        ran += zip(others, pool.map(runner.end, others), strict=True)
    return [part.name for part, running in ran if running]


def _fulfil(work: _Lift, part: Part) -> None:
    future = work.reached[part.name]
    try:
        future.set_result(work.bring(part))
    except BaseException as error:  # noqa: BLE001 - handed on to whoever waits for the part
        future.set_exception(error)


def _failed(future: Future[str]) -> bool:
    return future.done() and future.exception() is not None


def _addresses(work: _Lift) -> Mapping[str, str]:
    errors = [error for future in work.reached.values() if (error := future.exception())]
    causes = [error for error in errors if not isinstance(error, runner.Broken)] or errors
    for error in causes:
        if not isinstance(error, LocalStackError):
            raise error
    if causes:
        raise LocalStackError("\n".join(dict.fromkeys(map(str, causes)))) from causes[0]
    return {name: future.result() for name, future in work.reached.items()}
