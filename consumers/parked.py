"""Parked records: how they travel through a retry topic, and how long they wait there."""

import json
import time
from collections.abc import Callable, Sequence
from datetime import UTC, datetime, timedelta
from typing import Final, get_args

from aiokafka import TopicPartition

from consumers.driver import Driver, record_of
from consumers.lenient import RawRecord
from consumers.steady import SteadyConsumer
from contracts.headers import RetryHeaders, encode_headers, is_writable, split_retry
from pipeline.outcomes import ParkReason
from pipeline.patience import Patience, StoppedError
from pipeline.ports import Parked
from pipeline.records import Record, Visit

_LONGEST_SLEEP: Final = 1.0
"""Seconds: how soon it is seen that the partitions went to somebody else."""

_REASONS: Final[tuple[ParkReason, ...]] = get_args(ParkReason)


def headers_of(parked: Parked) -> list[tuple[str, bytes | None]]:
    """Give the headers of a parked record: its own, then what is to be tried again, and when."""
    record = parked.record
    writable = is_writable(record.headers)
    said = RetryHeaders(
        reason=parked.reason,
        origin_topic=record.topic,
        origin_partition=record.partition,
        origin_offset=record.offset,
        origin_timestamp=record.timestamp,
        null_key=record.key is None,
        null_value=record.value is None,
        assessments=json.dumps(parked.names, ensure_ascii=False),
        original_headers="" if writable else encode_headers(record.headers),
        attempt=parked.attempt,
        due_at=_milliseconds(parked.due_at),
        first_seen=_milliseconds(parked.first_seen),
    )
    original = list(record.headers) if writable else []
    return [*original, *said.encode()]


def parked_record_of(raw: RawRecord) -> Record:
    """Give the original of a parked record and which visit it is; what we did not park is its own."""
    carried = record_of(raw)
    try:
        headers, said = split_retry(raw.headers)
        visit = Visit(
            attempt=max(1, said.attempt),
            first_seen=datetime.fromtimestamp(said.first_seen / 1000, UTC),
            reason=next(reason for reason in _REASONS if reason == said.reason),
            names=tuple((_plain(kind), _plain(name)) for kind, name in json.loads(said.assessments)),
        )
        datetime.fromtimestamp(said.origin_timestamp / 1000, UTC)
    except (ValueError, TypeError, OverflowError, OSError, RecursionError, StopIteration):
        return carried
    return Record(
        topic=said.origin_topic,
        partition=said.origin_partition,
        offset=said.origin_offset,
        timestamp=said.origin_timestamp,
        key=None if said.null_key else carried.key,
        value=carried.value,
        headers=tuple(headers),
        visit=visit,
    )


def _plain(said: object) -> str:
    """Give a string that can be written again; a lone surrogate is a ValueError."""
    text = str(said)
    text.encode()
    return text


def due_at(raw: RawRecord, delay: timedelta) -> float:
    """Give when a parked record is due, in seconds since 1970; at the latest after its topic's delay."""
    latest = raw.timestamp / 1000 + delay.total_seconds()
    try:
        _, said = split_retry(raw.headers)
        return min(said.due_at / 1000, latest)
    except (ValueError, OverflowError):
        return latest


class ParkedDriver:
    """Lets the records of one retry topic wait until they are due, and settles and commits them in order.

    Args:
        driver: settles and commits what is due.
        delay: the topic's.
        patience: sleeps, and hears a stop.
        clock: seconds since 1970.

    """

    def __init__(
        self, driver: Driver, delay: timedelta, patience: Patience, clock: Callable[[], float] = time.time
    ) -> None:
        self.name = driver.name
        self._driver = driver
        self._delay = delay
        self._patience = patience
        self._clock = clock

    @property
    def ended(self) -> bool:
        """Tell whether nothing is handled any more."""
        return self._driver.ended

    async def handle(self, raw: Sequence[RawRecord], consumer: SteadyConsumer) -> None:
        """Settle a batch, each record when it is due, unless the partitions go to somebody else meanwhile."""
        waiting = list(raw)
        while waiting and not self.ended:
            head = min(due_at(record, self._delay) for record in heads(waiting))
            try:
                is_ours = await self._wait(head, consumer)
            except StoppedError:
                return
            if not is_ours:
                return
            due, waiting = split_due(waiting, self._delay, self._clock())
            await self._driver.handle(due, consumer)

    async def _wait(self, until: float, consumer: SteadyConsumer) -> bool:
        """Wait; tells whether what was read is still ours."""
        while consumer.epoch == consumer.read_in:
            rest = until - self._clock()
            if rest <= 0:
                return True
            await self._patience.sleep(min(rest, _LONGEST_SLEEP))
        return False


def heads(raw: Sequence[RawRecord]) -> list[RawRecord]:
    """Give the first record of each partition: one that is due earlier behind it has to wait for it."""
    found: dict[TopicPartition, RawRecord] = {}
    for record in raw:
        found.setdefault(TopicPartition(record.topic, record.partition), record)
    return list(found.values())


def split_due(
    raw: Sequence[RawRecord], delay: timedelta, now: float
) -> tuple[list[RawRecord], list[RawRecord]]:
    """Give the records that are due, of each partition up to the first that is not, and the rest."""
    due: list[RawRecord] = []
    rest: list[RawRecord] = []
    held: set[TopicPartition] = set()
    for record in raw:
        partition = TopicPartition(record.topic, record.partition)
        if partition not in held and due_at(record, delay) <= now:
            due.append(record)
        else:
            held.add(partition)
            rest.append(record)
    return due, rest


def _milliseconds(moment: datetime) -> int:
    return int(moment.timestamp() * 1000)
