"""The short run: a seed in bulk and one without, with fewer events, over a real stack of three brokers."""

from collections.abc import Iterator
from pathlib import Path

import pytest
from support.stack import Stack

from chaos.report import failures
from chaos.run import run_seed, the_cluster
from chaos.schedule import Schedule, Sink

LENGTH, FAULTS = 16.0, 8


@pytest.fixture(scope="module")
def cluster(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Stack]:
    with the_cluster(tmp_path_factory.mktemp("three-brokers")) as stack:
        yield stack


@pytest.mark.timeout(240)
@pytest.mark.parametrize(("seed", "sink", "events"), [(18, "auto", 4000), (6, "rest", 600)])
def test_nothing_is_lost_doubled_or_stale(
    seed: int, sink: Sink, events: int, cluster: Stack, tmp_path: Path
) -> None:
    schedule = Schedule.from_seed(seed, length=LENGTH, faults=FAULTS, sink=sink)
    print(schedule)  # noqa: T201 - shown when it fails
    result = run_seed(cluster, schedule, events=events, folder=tmp_path / f"seed-{seed}")
    assert list(failures(result)) == []
    assert (result.writes["bulk", "answered"] > 0) == (sink == "auto")
