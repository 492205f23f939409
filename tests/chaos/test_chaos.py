"""The short run: two fixed seeds with fewer events, over a real stack of three brokers."""

from collections.abc import Iterator
from pathlib import Path

import pytest
from support.stack import Stack

from chaos.report import failures
from chaos.run import run_seed, the_cluster
from chaos.schedule import Schedule

LENGTH, FAULTS, EVENTS = 16.0, 8, 600


@pytest.fixture(scope="module")
def cluster(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Stack]:
    with the_cluster(tmp_path_factory.mktemp("three-brokers")) as stack:
        yield stack


@pytest.mark.timeout(240)
@pytest.mark.parametrize("seed", [1, 6])
def test_nothing_is_lost_doubled_or_stale(seed: int, cluster: Stack, tmp_path: Path) -> None:
    schedule = Schedule.from_seed(seed, length=LENGTH, faults=FAULTS)
    print(schedule)  # noqa: T201 - shown when it fails
    result = run_seed(cluster, schedule, events=EVENTS, folder=tmp_path / f"seed-{seed}")
    assert list(failures(result)) == []
