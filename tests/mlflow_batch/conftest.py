"""Servers with the plugin: the shared stack's, which has Postgres, and one with SQLite."""

from collections.abc import Iterator

import pytest
from support.bulk import Bulk, SqliteMlflow, TraceOf, mlflow_database
from support.stack import Stack

from local.home import Home
from local.lift import lift, lower
from local.progress import Silent


@pytest.fixture(scope="session")
def sqlite_server(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Bulk]:
    home = Home.at(tmp_path_factory.mktemp("sqlite") / "stack")
    home.make()
    server = SqliteMlflow(home)
    address = lift([server], Silent())[server.name]
    yield Bulk(address, server.file)
    lower([server])


@pytest.fixture(params=["postgres", "sqlite"])
def bulk(request: pytest.FixtureRequest) -> Bulk:
    """A server with the plugin, once with each database."""
    if request.param == "sqlite":
        return request.getfixturevalue("sqlite_server")  # type: ignore[no-any-return]
    stack: Stack = request.getfixturevalue("stack")
    return Bulk(stack.mlflow, mlflow_database(stack.postgres))


@pytest.fixture
def new_trace(bulk: Bulk) -> TraceOf:
    """Make a trace by MLflow's own REST API."""
    return TraceOf(bulk)
