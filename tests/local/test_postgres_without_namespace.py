"""Postgres as root on a machine without user namespaces: it becomes `nobody`, and its data goes with it."""

from __future__ import annotations

import shutil
import tempfile
import threading
from collections.abc import Iterator
from pathlib import Path

import psycopg
import pytest

from local import runner
from local.drop_root import WITHOUT_NAMESPACE
from local.home import Home
from local.postgres import Postgres
from local.progress import Silent


@pytest.fixture
def open_home() -> Iterator[Home]:
    """A folder that every user may reach: pytest's own is closed to `nobody`."""
    folder = Path(tempfile.mkdtemp())
    folder.chmod(0o755)
    home = Home.at(folder)
    home.make()
    yield home
    shutil.rmtree(folder)


def test_data_moves_between_both_ways_of_dropping_root(
    open_home: Home, monkeypatch: pytest.MonkeyPatch
) -> None:
    part = Postgres(open_home)
    for way in ("", "1", ""):
        monkeypatch.setenv(WITHOUT_NAMESPACE, way)
        address = runner.ensure(part, Silent(), threading.Event())
        with psycopg.connect(address) as connection:
            connection.execute("CREATE TABLE IF NOT EXISTS kept AS SELECT 1 AS n")
            assert connection.execute("SELECT count(*) FROM kept").fetchone() == (1,)
        assert runner.end(part)
