"""From a batch of raw records to the commit of its offsets: the one place where offsets are committed."""

import time
import traceback
from collections.abc import Awaitable, Callable, Sequence
from typing import Final

import structlog
from aiokafka import TopicPartition

from consumers.lenient import RawRecord
from consumers.steady import SteadyConsumer
from pipeline.metrics import Metrics
from pipeline.patience import StoppedError
from pipeline.records import Record

log = structlog.get_logger(__name__)

_NO_TIMESTAMP: Final = -1


class Driver:
    """Runs the pipeline over batches and commits what is settled.

    An error that the pipeline does not know is a bug: FastStream would swallow it and go on, and a later
    commit would pass the batch. So the driver commits nothing more and has the process end.

    Args:
        name: the consumer's name in logs and metrics.
        run: settles a batch of records.
        read: makes the pipeline's record of a raw one.
        metrics: told of each batch.
        fail: called once, with the error that ends the process.

    """

    def __init__(
        self,
        name: str,
        run: Callable[[Sequence[Record]], Awaitable[None]],
        metrics: Metrics,
        fail: Callable[[BaseException], None],
        read: Callable[[RawRecord], Record] | None = None,
    ) -> None:
        self.name = name
        self._read = read or record_of
        self._run = run
        self._metrics = metrics
        self._fail = fail
        self.ended = False

    async def handle(self, raw: Sequence[RawRecord], consumer: SteadyConsumer) -> None:
        """Settle a batch, then commit it."""
        if self.ended:
            return
        read_in, start = consumer.read_in, time.perf_counter()
        try:
            await self._run([self._read(record) for record in raw])
            committed = await consumer.commit_batch(offsets_of(raw), read_in=read_in)
        except StoppedError:
            self.ended = True
            log.info("batch_left", consumer=self.name, records=len(raw), why="told to stop while waiting")
        except Exception as error:  # noqa: BLE001 - nothing may be committed past it, whatever it is
            self.ended = True
            log.critical("consumer_failed", consumer=self.name, **described(error))
            self._fail(error)
        else:
            seconds = time.perf_counter() - start
            self._metrics.batch(self.name, len(raw), seconds)
            log.info(
                "batch_settled",
                consumer=self.name,
                records=len(raw),
                milliseconds=round(seconds * 1000),
                committed=committed,
            )


def described(error: BaseException) -> dict[str, object]:
    """Describe an error for a log line without its message, which may hold what somebody wrote."""
    frames = traceback.extract_tb(error.__traceback__)
    where = [f"{frame.filename}:{frame.lineno} {frame.name}" for frame in frames]
    return {"error": type(error).__name__, "where": where}


def offsets_of(raw: Sequence[RawRecord]) -> dict[TopicPartition, int]:
    """Give what to commit for a settled batch: by partition, the offset after its last record."""
    ends: dict[tuple[str, int], int] = {}
    for record in raw:
        partition = record.topic, record.partition
        ends[partition] = max(ends.get(partition, 0), record.offset + 1)
    return {TopicPartition(*partition): end for partition, end in ends.items()}


def record_of(raw: RawRecord) -> Record:
    """Give the pipeline's record; one without a time of its own was recorded now, as far as anyone knows."""
    timestamp = raw.timestamp if raw.timestamp > _NO_TIMESTAMP else int(time.time() * 1000)
    return Record(raw.topic, raw.partition, raw.offset, timestamp, raw.key, raw.value, tuple(raw.headers))
