"""A proxy holds one write back until its sender is dead and a newer version stands: it does not win.

Over REST it stands for a while, and the newest is written again; in bulk it never does.
"""

from collections.abc import Callable, Iterator
from contextlib import contextmanager
from datetime import UTC, datetime, timedelta
from pathlib import Path
from urllib.parse import urlsplit

import pytest
from chaos.proxy import Proxy
from support.consumers import Consumers, Running
from support.waiting import wait_until
from support.world import assessments, outcomes, receipts, request_id, value_of, write_traces

from consumers.settings import Settings
from contracts.events import (
    AssessmentInput,
    AssessmentRef,
    Event,
    FeedbackSubmitted,
    FeedbackWithdrawn,
    Source,
)
from contracts.publisher import FeedbackPublisher
from ops.topics import create_topics

LIFETIME = 20
"""Seconds: a third of it is the lease, in which a write must be begun."""

NOW = datetime.now(UTC)
ANNA = Source(type="HUMAN", id="anna")


def version(settings: Settings, value: str, second: int, *, number: int = 0) -> FeedbackSubmitted:
    return FeedbackSubmitted(
        client_request_id=request_id(settings, number),
        source=ANNA,
        submitted_at=NOW + timedelta(seconds=second),
        assessments=(AssessmentInput(name="helpful", value=value),),
    )


def withdrawal(settings: Settings, second: int, *, name: str = "helpful") -> FeedbackWithdrawn:
    return FeedbackWithdrawn(
        client_request_id=request_id(settings, 0),
        source=ANNA,
        submitted_at=NOW + timedelta(seconds=second),
        names=(AssessmentRef(name=name),),
    )


def with_created(event: FeedbackSubmitted, value: str) -> FeedbackSubmitted:
    created = AssessmentInput(name="created", value=value)
    return event.model_copy(update={"assessments": (*event.assessments, created)})


def held_values(settings: Settings) -> list[object]:
    return sorted((value_of(item) for item in assessments(settings)), key=lambda value: value == "another")


@pytest.fixture
async def one_partition(make_world: Callable[..., Settings]) -> Settings:
    """A world in which one consumer has all the feedback and the other waits to take over."""
    settings = make_world(topic_partitions=1, request_lifetime_seconds=LIFETIME)
    await create_topics(settings)
    return settings


async def are_told(settings: Settings, *events: Event) -> bool:
    return {event.event_id for event in events} <= {r.event_id for r in await receipts(settings)}


@contextmanager
def behind_a_proxy(settings: Settings, folder: Path, **environment: str) -> Iterator[tuple[Proxy, Consumers]]:
    """Give a proxy before MLflow, and consumers behind it whose partitions move soon after they are gone."""
    with Proxy(urlsplit(settings.mlflow_tracking_uri).port or 0) as proxy:
        environment |= {
            "MLFLOW_TRACKING_URI": f"http://127.0.0.1:{proxy.port}",
            "FEEDBACK_KAFKA_SESSION_TIMEOUT_MS": "6000",
        }
        with Consumers(settings, folder, **environment) as consumers:
            yield proxy, consumers


def is_owner(running: Running) -> bool:
    """Tell whether it has settled feedback."""
    return 'feedback_records_total{consumer="feedback"}' in running.get("/metrics").text


@pytest.mark.parametrize(
    ("before", "newest", "late"),
    [("first", "newest", "late edit"), (None, None, "late create")],
    ids=["an edit over an edit", "a create after a withdrawal"],
)
async def test_a_write_that_was_held_back_does_not_stand(
    one_partition: Settings, tmp_path: Path, before: str | None, newest: str | None, late: str
) -> None:
    settings = one_partition
    write_traces(settings, 2)
    with behind_a_proxy(settings, tmp_path) as (proxy, consumers):
        both = [await consumers.start("all") for _ in range(2)]
        async with FeedbackPublisher(settings.kafka, settings.topics) as publisher:
            if before:
                await publisher.publish(version(settings, before, 0))
            await publisher.publish(version(settings, "another", 0, number=1))
            expected = [before, "another"] if before else ["another"]
            await wait_until(lambda: held_values(settings) == expected, seconds=30, what="it is logged")
            await wait_until(lambda: any(map(is_owner, both)), seconds=5, what="somebody owns the partition")
            (owner,) = filter(is_owner, both)

            held = proxy.hold(b"PATCH " if before else b"/assessments HTTP")
            await publisher.publish(version(settings, late, 1))
            await wait_until(held.caught.is_set, seconds=10, what="the write is held back")
            owner.kill()
            last: Event = version(settings, newest, 2) if newest else withdrawal(settings, 2)
            await publisher.publish(last)
            await wait_until(
                lambda: are_told(settings, last),
                seconds=LIFETIME - 2,
                what="the other has settled the newest",
            )
        expected = [newest, "another"] if newest else ["another"]
        assert held_values(settings) == expected
        held.release()
        arrived = [late, "another"]
        await wait_until(lambda: held_values(settings) == arrived, seconds=5, what="the late one arrives")
        await wait_until(
            lambda: held_values(settings) == expected, seconds=LIFETIME + 10, what="the newest stands again"
        )
    told = outcomes(await receipts(settings))
    assert told == (
        {"logged": 3, "superseded": 1} if newest else {"logged": 1, "superseded": 1, "withdrawn": 1}
    )


async def test_a_bulk_write_that_was_held_back_changes_nothing(
    one_partition: Settings, tmp_path: Path
) -> None:
    """An edit over an edit and a create after a withdrawal, in one request."""
    settings = one_partition
    write_traces(settings, 2)
    with behind_a_proxy(settings, tmp_path, FEEDBACK_MLFLOW_SINK="auto") as (proxy, consumers):
        both = [await consumers.start("all") for _ in range(2)]
        async with FeedbackPublisher(settings.kafka, settings.topics) as publisher:
            # Known both, as what nobody has seen before is written by itself.
            await publisher.publish(
                with_created(version(settings, "first", 0), "gone"), version(settings, "another", 0, number=1)
            )
            await wait_until(lambda: len(held_values(settings)) == 3, seconds=30, what="it is logged")
            await publisher.publish(withdrawal(settings, 1, name="created"))
            await wait_until(
                lambda: held_values(settings) == ["first", "another"], seconds=30, what="it is withdrawn"
            )
            await wait_until(lambda: any(map(is_owner, both)), seconds=5, what="somebody owns the partition")
            (owner,) = filter(is_owner, both)

            held = proxy.hold(b"/feedback-batch/assessments HTTP")
            await publisher.publish(with_created(version(settings, "late edit", 2), "late create"))
            await wait_until(held.caught.is_set, seconds=10, what="the write is held back")
            owner.kill()
            last: list[Event] = [version(settings, "newest", 3), withdrawal(settings, 3, name="created")]
            await publisher.publish(*last)
            await wait_until(
                lambda: are_told(settings, *last),
                seconds=LIFETIME - 2,
                what="the other has settled the newest",
            )
        held.release()
        await wait_until(
            lambda: b"".join(held.said).count(b'"superseded"') == 2, seconds=5, what="the late one arrives"
        )
        assert held_values(settings) == ["newest", "another"]
    assert outcomes(await receipts(settings)) == {"logged": 4, "superseded": 2, "withdrawn": 2}
