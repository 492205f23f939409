"""The real stack, one for all tests, and a world of one's own in it for each."""

import os
from collections.abc import AsyncIterator, Callable, Iterator
from pathlib import Path

import mlflow
import pytest
from support.consumers import Consumers
from support.stack import Stack, make_settings, the_stack

from consumers.settings import Settings
from contracts.publisher import FeedbackPublisher
from contracts.topics import Topics
from ops.topics import create_topics

ROOT = Path(__file__).parent.parent
os.environ.setdefault("FEEDBACK_LOCAL_CACHE_DIR", str(ROOT / ".local" / "cache"))


@pytest.fixture(scope="session")
def stack(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Stack]:
    """Kafka, Postgres and MLflow, running."""
    with the_stack(tmp_path_factory.mktemp("shared-stack")) as running:
        mlflow.set_tracking_uri(running.mlflow)
        yield running


@pytest.fixture
def make_world(stack: Stack) -> Callable[..., Settings]:
    """Make settings for a world of one's own: topics, groups, schema and experiment."""
    return lambda **given: make_settings(stack, **given)


@pytest.fixture
async def settings(make_world: Callable[..., Settings]) -> Settings:
    """Settings of a world whose topics exist."""
    settings = make_world()
    await create_topics(settings)
    return settings


@pytest.fixture
def topics(settings: Settings) -> Topics:
    """The topics of the world."""
    return settings.topics


@pytest.fixture
async def publisher(settings: Settings) -> AsyncIterator[FeedbackPublisher]:
    """A publisher into the world."""
    async with FeedbackPublisher(settings.kafka, settings.topics) as publisher:
        yield publisher


@pytest.fixture
def consumers(settings: Settings, tmp_path: Path) -> Iterator[Consumers]:
    """Real consumer processes of the world, all ended at the end."""
    with Consumers(settings, tmp_path) as consumers:
        yield consumers
