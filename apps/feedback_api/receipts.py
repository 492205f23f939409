"""The receipts as they come, read from the end of `feedback-logged`: for those who wait, or watch."""

import asyncio
from collections import deque
from collections.abc import AsyncIterator, Collection, Iterator, Mapping
from contextlib import contextmanager, suppress
from typing import Any, Final
from uuid import UUID

import structlog
from aiokafka import AIOKafkaConsumer
from aiokafka.errors import KafkaError
from pydantic_core import from_json

from contracts.kafka import KafkaSettings

log = structlog.get_logger(__name__)

Receipt = Mapping[str, Any]
"""A `FeedbackLogged` as JSON's types."""

_POLL_MS: Final = 500
_AGAIN_SECONDS: Final = 1
_METADATA_MS: Final = 15_000
_WATCHED: Final = 100


class Expected:
    """The receipts of some events, as far as they have come; by event and feedback."""

    def __init__(self, wanted: Collection[tuple[UUID, UUID]]) -> None:
        self._missing = {(str(event), str(feedback)) for event, feedback in wanted}
        self._all = asyncio.Event()
        self.receipts: dict[tuple[str, str], Receipt] = {}

    @property
    def events(self) -> set[str]:
        """Give the events that receipts are waited for."""
        return {event for event, _ in self._missing | self.receipts.keys()}

    def take(self, receipt: Receipt) -> None:
        """Take a receipt, if it is one of ours."""
        key = (str(receipt.get("event_id")), str(receipt.get("feedback_id")))
        if key in self._missing:
            self._missing.discard(key)
            self.receipts[key] = receipt
            if not self._missing:
                self._all.set()

    async def wait(self, seconds: float) -> bool:
        """Wait until all are there; gives whether they are."""
        with suppress(TimeoutError):
            async with asyncio.timeout(seconds):
                await self._all.wait()
        return self._all.is_set()


class Watch:
    """What somebody who watches has not seen yet: the newest, if they are slow."""

    def __init__(self) -> None:
        self._new: deque[Receipt] = deque(maxlen=_WATCHED)
        self._some = asyncio.Event()
        self.is_over = False

    def end(self) -> None:
        """Tell that no more will come."""
        self.is_over = True
        self._some.set()

    def take(self, receipt: Receipt) -> None:
        """Take a receipt."""
        self._new.append(receipt)
        self._some.set()

    async def next(self, seconds: float) -> list[Receipt]:
        """Give what is new; nothing when nothing has come in this time."""
        with suppress(TimeoutError):
            async with asyncio.timeout(seconds):
                await self._some.wait()
        self._some.clear()
        found = list(self._new)
        self._new.clear()
        return found


class ReceiptHub:
    """Reads the receipts once for all, without a group; who starts, or was away, begins at the end."""

    def __init__(self, kafka: KafkaSettings, topic: str, *, waiters: int) -> None:
        self._kafka = kafka
        self._topic = topic
        self._most = waiters
        self._waiting: dict[str, set[Expected]] = {}
        self._waiters = 0
        self._watching: set[Watch] = set()
        self.reads = asyncio.Event()
        """Set while receipts are read."""

    @contextmanager
    def expect(self, wanted: Collection[tuple[UUID, UUID]]) -> Iterator[Expected | None]:
        """Note what receipts are waited for, before the events are published; None where too many wait."""
        if self._waiters >= self._most or not self.reads.is_set():
            yield None
            return
        expected = Expected(wanted)
        events = expected.events
        for event in events:
            self._waiting.setdefault(event, set()).add(expected)
        self._waiters += 1
        try:
            yield expected
        finally:
            self._waiters -= 1
            for event in events:
                self._waiting[event].discard(expected)
                if not self._waiting[event]:
                    del self._waiting[event]

    @contextmanager
    def watch(self) -> Iterator[Watch]:
        """See all receipts from now on."""
        watch = Watch()
        self._watching.add(watch)
        try:
            yield watch
        finally:
            self._watching.discard(watch)

    def end_watches(self) -> None:
        """Let all go who watch: the process ends."""
        for watch in self._watching:
            watch.end()

    async def run(self) -> None:
        """Read until cancelled."""
        while True:
            try:
                async for value in self._values():
                    self._tell(value)
            except (KafkaError, OSError, UnicodeDecodeError) as error:
                log.warning("receipts_not_read", error=type(error).__name__)
            self.reads.clear()
            await asyncio.sleep(_AGAIN_SECONDS)

    async def _values(self) -> AsyncIterator[bytes]:
        consumer = AIOKafkaConsumer(
            self._topic,
            **self._kafka.options(),
            group_id=None,
            auto_offset_reset="latest",
            metadata_max_age_ms=_METADATA_MS,
        )
        try:
            await consumer.start()
            for partition in consumer.assignment():
                await consumer.position(partition)  # the end, as it is now
            self.reads.set()
            while True:
                batch = await consumer.getmany(timeout_ms=_POLL_MS)
                for record in (record for records in batch.values() for record in records):
                    if record.value:
                        yield record.value
        finally:
            self.reads.clear()
            await consumer.stop()

    def _tell(self, value: bytes) -> None:
        if not self._waiting and not self._watching:
            return
        try:
            receipt = from_json(value)
        except ValueError:
            return
        if not isinstance(receipt, dict):
            return
        for expected in self._waiting.get(str(receipt.get("event_id")), ()):
            expected.take(receipt)
        for watch in self._watching:
            watch.take(receipt)
