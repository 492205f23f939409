"""The way into Kafka: a publisher that connects when Kafka lets us in, also long after the start."""

import asyncio
from typing import Any, Final

import structlog

from apps.feedback_api.problems import away
from contracts.events import ChatCompleted, Event
from contracts.kafka import KafkaSettings
from contracts.parse import validate
from contracts.publisher import FeedbackPublisher, PublishError
from contracts.topics import Topics

log = structlog.get_logger(__name__)

_AGAIN_SECONDS: Final = 1
_PROBE_SECONDS: Final = 5


class Door:
    """Publishes, or says that Kafka has not acknowledged."""

    def __init__(self, kafka: KafkaSettings, topics: Topics, *, seconds: float) -> None:
        self._publisher = FeedbackPublisher(
            kafka, topics, source="feedback-pipeline/api", timeout_seconds=seconds
        )
        self.is_open = False
        self.answers = False
        """Whether Kafka acknowledged what was published last, or has answered since."""

    async def run(self) -> None:
        """Connect, and stay so until cancelled."""
        while not self.is_open:
            try:
                await self._publisher.__aenter__()
                self.is_open = self.answers = True
            except PublishError as error:
                log.warning("kafka_away", error=str(error))
                await asyncio.sleep(_AGAIN_SECONDS)
        while True:
            # Who is not ready is sent nothing, and would never see Kafka come back.
            await asyncio.sleep(_PROBE_SECONDS if self.answers else _AGAIN_SECONDS)
            self.answers = await self._publisher.is_answered()

    async def close(self) -> None:
        """Disconnect."""
        self.is_open = self.answers = False
        await self._publisher.__aexit__(None, None, None)

    async def publish(self, *events: Event) -> None:
        """Publish, all or not all.

        Raises:
            ContractError: naming field and limit; then nothing was sent.
            ProblemError: 503 when Kafka has not acknowledged.

        """
        try:
            await self._publisher.publish(*events)
        except PublishError as error:
            self.answers = False
            log.warning("not_published", events=len(error.events), error=str(error))
            detail = "Kafka has not acknowledged; send it again, best with the same Idempotency-Key"
            raise away(detail) from None
        self.answers = True

    async def chat_completed(self, **fields: Any) -> None:  # noqa: ANN401 - the fields of the event
        """Publish `ChatCompleted`.

        Raises:
            ContractError: naming field and limit.
            ProblemError: 503 when Kafka has not acknowledged.

        """
        await self.publish(validate(ChatCompleted, fields, forbid_unknown=True))
