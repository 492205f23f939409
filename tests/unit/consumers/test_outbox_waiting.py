"""What the outbox does while a broker is silent: it waits, says so, and hears a stop."""

import asyncio
from collections.abc import AsyncIterator, Awaitable, Callable

import pytest
from aiokafka.errors import KafkaTimeoutError
from support.waiting import wait_until

from consumers import outbox
from consumers.outbox import KafkaOutbox
from contracts.kafka import KafkaSettings
from contracts.topics import Topics
from pipeline.outcomes import DependencyAwayError
from pipeline.patience import Patience, StoppedError

Future = asyncio.Future[object]


@pytest.fixture(autouse=True)
def _impatient(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(outbox, "_SLOW_SECONDS", 0.02)


@pytest.fixture
def patience() -> Patience:
    return Patience()


@pytest.fixture
def acknowledged(patience: Patience) -> Callable[[list[Future]], Awaitable[None]]:
    return KafkaOutbox(KafkaSettings(), Topics(), patience)._acknowledged


def futures(count: int) -> list[Future]:
    return [asyncio.get_running_loop().create_future() for _ in range(count)]


async def test_a_silent_broker_is_waited_for_and_named(
    patience: Patience, acknowledged: Callable[[list[Future]], Awaitable[None]]
) -> None:
    pending = futures(3)
    waiting = asyncio.ensure_future(acknowledged(pending))
    await wait_until(lambda: "kafka" in patience.away, seconds=5, what="Kafka is named")
    for future in pending:
        assert not waiting.done()
        future.set_result(None)
    await waiting
    assert patience.away == {}


async def test_a_stop_is_heard_while_the_broker_is_silent(
    patience: Patience, acknowledged: Callable[[list[Future]], Awaitable[None]]
) -> None:
    patience.stop()
    with pytest.raises(StoppedError):
        await acknowledged(futures(1))


async def test_a_refusal_among_silent_ones_is_raised_at_once(
    acknowledged: Callable[[list[Future]], Awaitable[None]],
) -> None:
    pending = futures(2)
    pending[1].set_exception(KafkaTimeoutError())
    with pytest.raises(KafkaTimeoutError):
        await acknowledged(pending)


async def test_nothing_to_wait_for_says_that_kafka_answers(
    patience: Patience, acknowledged: Callable[[list[Future]], Awaitable[None]]
) -> None:
    await acknowledged([])
    assert patience.away == {}


@pytest.fixture
async def silent_broker() -> AsyncIterator[str]:
    """Something that takes connections and never answers."""
    open_ones: list[asyncio.StreamWriter] = []
    server = await asyncio.start_server(lambda _, writer: open_ones.append(writer), "127.0.0.1", 0)
    host, port = server.sockets[0].getsockname()
    yield f"{host}:{port}"
    for writer in open_ones:
        writer.close()
    server.close()


async def test_a_broker_that_never_says_a_word_is_away(silent_broker: str, patience: Patience) -> None:
    kafka = KafkaSettings(bootstrap_servers=silent_broker, request_timeout_ms=1000)
    box = KafkaOutbox(kafka, Topics(), patience)
    with pytest.raises(DependencyAwayError) as caught:
        await box.start()
    assert caught.value.dependency == "kafka"
    assert silent_broker in caught.value.detail
    await box.stop()
