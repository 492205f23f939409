"""The real adapters, in one world for all contract tests; each test uses ids of its own."""

from collections.abc import AsyncIterator, Iterator

import pytest
from support.shelf import TraceMaker
from support.stack import Stack, make_settings

from consumers.settings import Settings
from pipeline.adapters.mlflow_client import MlflowThreads, configure_mlflow
from pipeline.adapters.postgres import Pool, apply_schema, make_pool


@pytest.fixture(scope="session")
def world(stack: Stack) -> Settings:
    """Settings of the one world; its topics do not exist."""
    return make_settings(stack)


@pytest.fixture(scope="session")
async def pool(world: Settings) -> AsyncIterator[Pool]:
    """A pool into a schema that is applied."""
    pool = make_pool(world.database_url.get_secret_value(), world.database_schema, size=4)
    await pool.open()
    await apply_schema(pool, world.database_schema)
    yield pool
    await pool.close()


@pytest.fixture(scope="session")
def threads(world: Settings) -> Iterator[MlflowThreads]:
    """Threads for the MLflow client."""
    configure_mlflow(concurrency=world.mlflow_concurrency)
    threads = MlflowThreads(world.mlflow_concurrency)
    yield threads
    threads.close()


@pytest.fixture(scope="session")
def trace_maker(world: Settings) -> TraceMaker:
    """Traces in the world's experiment."""
    return TraceMaker(world.mlflow_experiments[0])
