"""A consumer that waits where Kafka refuses it, and goes on by itself once it is let in."""

import asyncio
from typing import Any, Final

from aiokafka import TopicPartition
from aiokafka.errors import KafkaError, UnsupportedCodecError

from consumers.lenient import RawRecord
from consumers.steady import SteadyConsumer
from contracts.kafka import KafkaSettings
from contracts.kafka_refusals import explain
from pipeline.outcomes import DependencyAwayError
from pipeline.patience import Patience, StoppedError

_PAUSE_SECONDS: Final = 1.0


class WaitingConsumer(SteadyConsumer):
    """Tells `Patience` of every refusal, and asks again.

    By itself aiokafka raises out of ``start()``, which would end the process, and out of every ``getmany()``
    for ever after one refused heartbeat, as its background task has died of it.
    """

    def __init__(
        self,
        *args: Any,  # noqa: ANN401 - aiokafka's own
        kafka: KafkaSettings,
        patience: Patience,
        may_read: asyncio.Event,
        **kwargs: Any,  # noqa: ANN401
    ) -> None:
        super().__init__(*args, **kwargs)
        self._kafka = kafka
        self._patience = patience
        self._may_read = may_read
        self._is_refused = False

    async def start(self) -> None:
        """Join the group, once Kafka lets us.

        Raises:
            StoppedError: when told to stop while waiting.

        """
        await self._patience.call(self._try_start)

    async def _try_start(self) -> None:
        try:
            await super().start()
        except (KafkaError, OSError) as error:
            await self._undo_start()
            raise DependencyAwayError("kafka", await explain(error, self._kafka, "Read")) from error

    async def _undo_start(self) -> None:
        for part in (self._coordinator, self._fetcher):
            if part is not None:
                await part.close()
        self._coordinator = self._fetcher = None

    async def getmany(
        self, *partitions: TopicPartition, timeout_ms: int = 0, max_records: int | None = None
    ) -> dict[TopicPartition, list[RawRecord]]:
        """Read a batch, once we may; nothing, after a pause, while Kafka refuses."""
        await self._may_read.wait()
        try:
            batch = await super().getmany(*partitions, timeout_ms=timeout_ms, max_records=max_records)
        except UnsupportedCodecError:
            raise
        except KafkaError as error:
            await self._wait(error)
            return {}
        if self._is_refused and self.assignment():
            self._is_refused = False
            self._patience.back("kafka")
        return batch

    async def _wait(self, error: KafkaError) -> None:
        self._is_refused = True
        self._join_anew_if_dead()
        try:
            self._patience.missed("kafka", await explain(error, self._kafka, "Read"))
            await self._patience.sleep(_PAUSE_SECONDS)
        except StoppedError:
            return  # whoever calls hears of the stop otherwise

    def _join_anew_if_dead(self) -> None:
        """Have the tasks begun again that died of the refusal: only joining the group does that."""
        coordinator = self._coordinator
        if coordinator is None:
            return
        tasks = [coordinator._heartbeat_task, coordinator._commit_refresh_task]  # noqa: SLF001
        if any(task is not None and task.done() for task in tasks):
            coordinator.request_rejoin()
