"""What a Python service imports to publish events; each call returns once Kafka has acknowledged.

async with FeedbackPublisher() as publisher:
    await publisher.chat_completed(client_request_id="req-1", trace_id=trace_id, session_id="s-1")
    await publisher.feedback_submitted(
        client_request_id="req-1",
        source=Source(type="HUMAN", id="anna"),
        assessments=[{"name": "helpful", "value": True, "rationale": "to the point"}],
    )
"""

import asyncio
import re
import secrets
from collections.abc import Mapping, Sequence
from contextlib import suppress
from datetime import UTC, datetime
from types import TracebackType
from typing import Any, Final, Self
from urllib.parse import quote

from aiokafka import AIOKafkaProducer
from aiokafka.errors import (
    KafkaConnectionError,
    KafkaError,
    MessageSizeTooLargeError,
    TopicAuthorizationFailedError,
    UnknownTopicOrPartitionError,
)
from opentelemetry.trace.propagation.tracecontext import TraceContextTextMapPropagator

from contracts.events import (
    AssessmentInput,
    AssessmentRef,
    ChatCompleted,
    Event,
    FeedbackSubmitted,
    FeedbackWithdrawn,
    Source,
)
from contracts.kafka import KafkaSettings
from contracts.kafka_refusals import explain, no_right
from contracts.parse import check_clock, decode_document, validate
from contracts.producers import end_producer
from contracts.topics import EVENT_BYTES, Topics

_LINGER_MS: Final = 5
_W3C_TRACE: Final = re.compile(r"tr-(?!0{32})([0-9a-f]{32})")


class PublishError(RuntimeError):
    """Kafka did not acknowledge; to publish `events` again is safe, as their ids stay the same."""

    def __init__(self, message: str, events: Sequence[Event]) -> None:
        super().__init__(message)
        self.events = tuple(events)


class FeedbackPublisher:
    """An async context manager over one idempotent producer with ``acks=all``.

    Args:
        kafka: how to reach Kafka; by default from the variables ``FEEDBACK_KAFKA_*``.
        topics: the topics' names, where a prefix is used.
        source: who publishes, a URI reference for the CloudEvents header ``ce_source``.
        timeout_seconds: how long one publish may wait for its acknowledgement.

    """

    def __init__(
        self,
        kafka: KafkaSettings | None = None,
        topics: Topics | None = None,
        *,
        source: str = "feedback-pipeline/publisher",
        timeout_seconds: float = 30.0,
    ) -> None:
        self._kafka = kafka or KafkaSettings()
        self._topics = topics or Topics()
        self._source = quote(source, safe="/:._-~")
        self._timeout = timeout_seconds
        self._producer: AIOKafkaProducer | None = None
        self._replacing = asyncio.Lock()
        self._ending: set[asyncio.Future[None]] = set()

    async def __aenter__(self) -> Self:
        """Connect.

        Raises:
            PublishError: when no broker lets us in, naming the brokers, the reason and what to check.

        """
        self._producer = await self._connect()
        return self

    async def _connect(self) -> AIOKafkaProducer:
        producer = None
        try:
            producer = AIOKafkaProducer(
                **self._kafka.options(),
                acks="all",
                enable_idempotence=True,
                linger_ms=_LINGER_MS,
                max_request_size=EVENT_BYTES,
            )
            await producer.start()
        except (KafkaError, OSError) as error:
            if producer is not None:
                await producer.stop()
            raise PublishError(await explain(error, self._kafka, "Write"), ()) from error
        return producer

    async def __aexit__(
        self,
        exc_type: type[BaseException] | None,
        exc: BaseException | None,
        traceback: TracebackType | None,
    ) -> None:
        """Disconnect; nothing is pending, as each call waited for its acknowledgement."""
        producer, self._producer = self._producer, None
        if producer is not None:
            await end_producer(producer)

    async def is_answered(self, *, seconds: float = 5) -> bool:
        """Tell whether a broker answers within so many seconds; nothing is published."""
        if self._producer is None:
            return False
        try:
            async with asyncio.timeout(seconds):
                await self._producer.client.fetch_all_metadata()
        except (KafkaError, OSError, TimeoutError):
            return False
        return True

    async def chat_completed(self, **fields: Any) -> ChatCompleted:  # noqa: ANN401 - the fields of the event
        """Publish `ChatCompleted`; the arguments are its fields, ``type`` aside.

        Raises:
            ContractError: naming field and limit.
            PublishError: when Kafka did not acknowledge.

        """
        event = validate(ChatCompleted, fields, forbid_unknown=True)
        await self.publish(event)
        return event

    async def feedback_submitted(
        self,
        *,
        source: Source | Mapping[str, Any],
        assessments: Sequence[AssessmentInput | Mapping[str, Any]],
        **fields: Any,  # noqa: ANN401 - the other fields of the event
    ) -> FeedbackSubmitted:
        """Publish `FeedbackSubmitted`; the arguments are its fields, ``type`` aside.

        Raises:
            ContractError: naming field and limit.
            PublishError: when Kafka did not acknowledge.

        """
        document = {**fields, "source": source, "assessments": list(assessments)}
        event = validate(FeedbackSubmitted, document, forbid_unknown=True)
        await self.publish(event)
        return event

    async def feedback_withdrawn(
        self,
        *,
        source: Source | Mapping[str, Any],
        names: Sequence[AssessmentRef | Mapping[str, Any] | str],
        **fields: Any,  # noqa: ANN401 - the other fields of the event
    ) -> FeedbackWithdrawn:
        """Publish `FeedbackWithdrawn`; the arguments are its fields, ``type`` aside.

        Raises:
            ContractError: naming field and limit.
            PublishError: when Kafka did not acknowledge.

        """
        document = {**fields, "source": source, "names": list(names)}
        event = validate(FeedbackWithdrawn, document, forbid_unknown=True)
        await self.publish(event)
        return event

    async def publish(self, *events: Event) -> None:
        """Publish events together, in batches by partition, and wait for all acknowledgements.

        Raises:
            ContractError: naming field and limit; then none of the events was sent.
            PublishError: when Kafka did not acknowledge all of them; its ``events`` are the others.

        """
        values = [encode_event(event) for event in events]
        if self._producer is None:
            msg = "the publisher is not connected; use it as: async with FeedbackPublisher() as publisher"
            raise PublishError(msg, events)
        producer = self._producer
        sends = [self._send(producer, *pair) for pair in zip(events, values, strict=True)]
        results = await asyncio.gather(*sends, return_exceptions=True)
        failed = [(e, r) for e, r in zip(events, results, strict=True) if isinstance(r, BaseException)]
        if failed:
            event, error = failed[0]
            if any(isinstance(result, KafkaError) for _, result in failed):
                await self._replace(producer)
            raise PublishError(self._explain(event, error), [event for event, _ in failed]) from error

    async def _replace(self, failed: AIOKafkaProducer) -> None:
        """Connect anew: after a batch that failed, an idempotent producer's numbers have a gap for good."""
        async with self._replacing:
            if self._producer is not failed:
                return
            with suppress(PublishError):  # no broker lets us in: the old one may still be of use later
                self._producer = await self._connect()
                ending = asyncio.ensure_future(end_producer(failed))
                self._ending.add(ending)
                ending.add_done_callback(self._ending.discard)

    async def _send(self, producer: AIOKafkaProducer, event: Event, value: bytes) -> None:
        async with asyncio.timeout(self._timeout):
            acknowledged = await producer.send(
                self._topic(event), value=value, key=event_key(event), headers=self._headers(event)
            )
            # Shielded: a cancelled future would break the producer's own batch.
            await asyncio.shield(acknowledged)

    def _topic(self, event: Event) -> str:
        is_chat = isinstance(event, ChatCompleted)
        return self._topics.chat_completed if is_chat else self._topics.feedback_submitted

    def _headers(self, event: Event) -> list[tuple[str, bytes]]:
        time = event.completed_at if isinstance(event, ChatCompleted) else event.submitted_at
        headers = {
            "content-type": "application/json",
            "ce_specversion": "1.0",
            "ce_id": str(event.event_id),
            "ce_type": f"feedback-pipeline.{event.type}",
            "ce_source": self._source,
            "ce_time": time.isoformat(),
            "traceparent": traceparent(event),
        }
        return [(name, text.encode()) for name, text in headers.items()]

    def _explain(self, event: Event, error: BaseException) -> str:
        where = f"topic {self._topic(event)!r} at {self._kafka.bootstrap_servers}"
        match error:
            case TimeoutError():
                return (
                    f"{where} did not acknowledge within {self._timeout:g} s; the event may still arrive, "
                    "and publishing it again is safe"
                )
            case UnknownTopicOrPartitionError():
                return f"{where} does not exist; create it with: feedback topics create"
            case TopicAuthorizationFailedError():
                missing = no_right(self._kafka, f"topic {self._topic(event)!r}", "Write")
                return f"{missing}; {where} did not take the event"
            case MessageSizeTooLargeError():
                return f"the event is larger than {where} takes; the limit of an event is {EVENT_BYTES} bytes"
            case KafkaConnectionError():
                return f"{where} cannot be reached: {_name(error)}"
            case _:
                return f"{where} refused the event: {_name(error)}"


def encode_event(event: Event) -> bytes:
    """Give an event as the contract's JSON, after checking what only its sender can know.

    Raises:
        ContractError: when it holds a NUL or its time lies in the future.

    """
    value = event.model_dump_json(exclude_none=True).encode()
    decode_document(value)
    check_clock(event, datetime.now(UTC))
    return value


def event_key(event: Event) -> bytes:
    """Give the record's key: the client_request_id, or the trace_id where there is none."""
    return (event.client_request_id if isinstance(event, ChatCompleted) else event.reference).encode()


def traceparent(event: Event) -> str:
    """Give the W3C trace context: the caller's where one is active, else one under the event's own trace."""
    carrier: dict[str, str] = {}
    TraceContextTextMapPropagator().inject(carrier)
    if "traceparent" in carrier:
        return carrier["traceparent"]
    own = _W3C_TRACE.fullmatch(event.trace_id or "")
    return f"00-{own[1] if own else secrets.token_hex(16)}-{secrets.token_hex(8)}-00"


def _name(error: BaseException) -> str:
    """Name an error without its message where that could hold what we sent."""
    telling = isinstance(error, OSError | KafkaConnectionError)
    return f"{type(error).__name__}: {error}" if telling else type(error).__name__
