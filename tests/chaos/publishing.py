"""Producers that keep on trying, and the recorder of what Kafka acknowledged to them."""

import asyncio
import contextlib
import time
from collections.abc import Sequence
from dataclasses import dataclass, field
from datetime import UTC, datetime
from typing import Any, Final

import httpx
from aiokafka import AIOKafkaProducer
from aiokafka.errors import KafkaError

from chaos.traffic import Plan, Send, Trace
from consumers.settings import Settings
from contracts.publisher import FeedbackPublisher, PublishError

_AT_ONCE: Final = 100
_AGAIN_SECONDS: Final = 0.2
_ACK_SECONDS: Final = 10
_EXPORTS_AT_ONCE: Final = 8


@dataclass(frozen=True, slots=True)
class Ack:
    """One record that Kafka acknowledged, as it was handed to the client."""

    topic: str
    partition: int
    offset: int
    key: bytes | None
    value: bytes | None


@dataclass(slots=True)
class Recorder:
    """What stands outside all code under test: acknowledgements of Kafka, and of MLflow for traces."""

    acks: list[Ack] = field(default_factory=list)
    exported: dict[str, float] = field(default_factory=dict)
    errors: int = 0


class _Recording:
    """A producer that tells the recorder of each acknowledgement, also of one that nobody awaits any more."""

    def __init__(self, producer: AIOKafkaProducer, recorder: Recorder) -> None:
        self._producer = producer
        self._recorder = recorder

    async def send(
        self, topic: str, *, value: bytes | None = None, key: bytes | None = None, headers: Any = None
    ) -> "asyncio.Future[Any]":
        future: asyncio.Future[Any] = await self._producer.send(topic, value=value, key=key, headers=headers)

        def note(done: "asyncio.Future[Any]") -> None:
            if not done.cancelled() and done.exception() is None:
                told = done.result()
                self._recorder.acks.append(Ack(told.topic, told.partition, told.offset, key, value))

        future.add_done_callback(note)
        return future

    async def stop(self) -> None:
        await self._producer.stop()


async def publish(plan: Plan, settings: Settings, recorder: Recorder, start: float) -> None:
    """Publish the plan, each record until Kafka has it; ``start`` is the loop's time of 0 s."""
    async with asyncio.TaskGroup() as group:
        for number in {send.producer for send in plan.sends}:
            mine = [send for send in plan.sends if send.producer == number]
            group.create_task(_produce(mine, settings, recorder, start))


async def _produce(sends: Sequence[Send], settings: Settings, recorder: Recorder, start: float) -> None:
    waiting = list(sends)
    while waiting:
        with contextlib.suppress(PublishError, KafkaError, TimeoutError, OSError):
            async with FeedbackPublisher(
                settings.kafka, settings.topics, source="chaos", timeout_seconds=_ACK_SECONDS
            ) as publisher:
                assert publisher._producer is not None
                raw = _Recording(publisher._producer, recorder)
                publisher._producer = raw  # type: ignore[assignment]  # all of it that the publisher uses
                await _publish_due(waiting, publisher, raw, settings, start)
        if waiting:
            # What failed is tried again with a new connection, as an application does.
            recorder.errors += 1
            await asyncio.sleep(_AGAIN_SECONDS)


async def _publish_due(
    waiting: list[Send], publisher: FeedbackPublisher, raw: _Recording, settings: Settings, start: float
) -> None:
    clock = asyncio.get_running_loop().time
    while waiting:
        await asyncio.sleep(max(0.0, start + waiting[0].at - clock()))
        due = [send for send in waiting[:_AT_ONCE] if start + send.at <= clock()]
        events = [send.event for send in due if send.event is not None]
        nonsense = [send for send in due if send.event is None]
        try:
            if events:
                await publisher.publish(*events)
        except PublishError as error:
            failed = {id(event) for event in error.events}
            waiting[: len(due)] = [s for s in due if s.event is None or id(s.event) in failed]
            raise
        waiting[: len(due)] = nonsense
        for send in nonsense:
            topics = settings.topics
            topic = topics.chat_completed if send.is_chat else topics.feedback_submitted
            async with asyncio.timeout(_ACK_SECONDS):
                future = await raw.send(topic, key=send.key, value=send.value, headers=list(send.headers))
                await asyncio.shield(future)
            waiting.remove(send)


async def export(traces: Sequence[Trace], settings: Settings, recorder: Recorder, begin: float) -> None:
    """Export traces as a client does, each until MLflow has it; ``begin`` is the loop's time of 0 s."""
    limit = asyncio.Semaphore(_EXPORTS_AT_ONCE)
    clock = asyncio.get_running_loop().time
    async with httpx.AsyncClient(base_url=settings.mlflow_tracking_uri, timeout=10) as client:

        async def one(trace: Trace) -> None:
            await asyncio.sleep(max(0.0, begin + trace.at - clock()))
            async with limit:
                while not await _is_exported(  # noqa: ASYNC110 - a server sets no event
                    client, trace, settings.mlflow_experiments[0]
                ):
                    await asyncio.sleep(_AGAIN_SECONDS)
            recorder.exported[trace.trace_id] = time.time()

        async with asyncio.TaskGroup() as group:
            for trace in traces:
                group.create_task(one(trace))


async def _is_exported(client: httpx.AsyncClient, trace: Trace, experiment: str) -> bool:
    info: dict[str, Any] = {
        "trace_id": trace.trace_id,
        "trace_location": {
            "type": "MLFLOW_EXPERIMENT",
            "mlflow_experiment": {"experiment_id": experiment},
        },
        "request_time": datetime.now(UTC).isoformat().replace("+00:00", "Z"),
        "execution_duration": "0.100s",
        "state": "OK",
    }
    if trace.request_id is not None:
        info["client_request_id"] = trace.request_id
    try:
        response = await client.post("/api/3.0/mlflow/traces", json={"trace": {"trace_info": info}})
    except httpx.TransportError:
        return False
    return response.is_success
