"""`feedback run feedback` with a sink that keeps nothing, as fast as none or as slow as asked.

``python -m bench.discard [--seconds S]``: a program for `bench.alone`; settings as of any consumer.
"""

import argparse
import asyncio
from collections.abc import Sequence
from typing import Final

from consumers.app import serve
from consumers.bootstrap import ConsumerName
from consumers.event_loop import run_async
from consumers.logs import configure_logs
from consumers.settings import load_settings
from pipeline.outcomes import Logged, SinkOutcome, Withdrawn
from pipeline.ports import Write

NAME: Final = "bench.discard"
NAMES: Final[tuple[ConsumerName, ...]] = ("feedback",)


class DiscardingSink:
    """A `Sink` that says yes to all.

    Args:
        seconds: how long each write takes; none where 0.
        at_once: how many writes may be under way, as for requests to MLflow.

    """

    def __init__(self, seconds: float, at_once: int) -> None:
        self._seconds = seconds
        self._room = asyncio.Semaphore(at_once)

    async def create(self, writes: Sequence[Write]) -> Sequence[bool]:
        """Forget a batch of feedback that nobody has seen before, which needs no claim, as in bulk."""
        await self._take(len(writes))
        return [True] * len(writes)

    async def log(self, writes: Sequence[Write], *, until: float) -> Sequence[SinkOutcome]:
        """Forget a batch."""
        del until
        await self._take(len(writes))
        return [_outcome(write) for write in writes]

    async def _take(self, count: int) -> None:
        if self._seconds:
            await asyncio.gather(*(self._wait() for _ in range(count)))

    async def _wait(self) -> None:
        async with self._room:
            await asyncio.sleep(self._seconds)


def _outcome(write: Write) -> SinkOutcome:
    version = write.version
    if version.op == "withdraw":
        return Withdrawn(write.trace_id, version.assessment_id)
    return Logged(write.trace_id, version.assessment_id)


def main() -> None:
    """Run until SIGTERM."""
    parser = argparse.ArgumentParser(prog=f"python -m {NAME}", description=__doc__)
    parser.add_argument("--seconds", type=float, default=0, help="how long each write takes")
    seconds = parser.parse_args().seconds
    settings = load_settings()
    configure_logs(settings)
    sink = DiscardingSink(seconds, settings.mlflow_concurrency)
    run_async(serve(settings, NAMES, sink=sink))


if __name__ == "__main__":
    main()
