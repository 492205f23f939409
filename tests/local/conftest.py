"""One real stack for all tests of this folder, and what tells which processes it has."""

from __future__ import annotations

import os
from collections.abc import Iterator
from pathlib import Path

import pytest
from support.watching import processes_in

from local import stack
from local.home import CACHE_VARIABLE, Home

ROOT = Path(__file__).parents[2]


@pytest.fixture(scope="session", autouse=True)
def cache() -> Path:
    """Downloads are shared with the project's own stack: they are the slow part, and checked before use."""
    os.environ.setdefault(CACHE_VARIABLE, str(ROOT / ".local" / "cache"))
    return Path(os.environ[CACHE_VARIABLE])


@pytest.fixture(scope="session")
def home(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Path]:
    """A stack's folder; each test brings up what it needs and may break what it likes."""
    folder = tmp_path_factory.mktemp("stack")
    yield folder
    stack.down(folder, purge=True)
    assert processes_in(folder) == []


@pytest.fixture
def running(home: Path) -> stack.Addresses:
    """The shared stack, whole again after whatever the test before did to it."""
    return stack.up(home)


@pytest.fixture
def place(tmp_path: Path) -> Iterator[Home]:
    """A stack's folder of a test's own."""
    place = Home.at(tmp_path / "own")
    yield place
    stack.down(place.root, purge=True)
    assert processes_in(place.root) == []
