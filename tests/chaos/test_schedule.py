"""Schedules come from seeds, and hold together."""

from collections import Counter
from itertools import combinations

import pytest

from chaos.schedule import KINDS, ONLY_IN_BULK, Schedule

MANY = [Schedule.from_seed(seed) for seed in range(100)]


def test_the_same_seed_gives_the_same_schedule() -> None:
    assert [Schedule.from_seed(seed) for seed in range(100)] == MANY
    assert len({str(schedule) for schedule in MANY}) == 100


@pytest.mark.parametrize("schedule", MANY[:30], ids=lambda schedule: str(schedule.seed))
def test_eight_to_twelve_faults_in_their_time_each_healed_by_its_end(schedule: Schedule) -> None:
    assert 8 <= len(schedule.faults) <= 12
    assert 25 <= schedule.length <= 40
    assert all(0 < fault.at <= fault.end <= schedule.length for fault in schedule.faults)
    assert list(schedule.faults) == sorted(schedule.faults)


@pytest.mark.parametrize("schedule", MANY[:30], ids=lambda schedule: str(schedule.seed))
def test_one_fault_at_a_time_in_a_lane(schedule: Schedule) -> None:
    for one, other in combinations(schedule.faults, 2):
        assert not set(one.lanes) & set(other.lanes) or one.end < other.at


def test_thirty_seeds_have_every_kind() -> None:
    kinds = Counter(fault.kind for schedule in MANY[:30] for fault in schedule.faults)
    assert kinds.keys() == set(KINDS)


def test_who_writes_one_by_one_has_every_kind_but_those_of_the_plugin() -> None:
    faults = [fault for seed in range(60) for fault in Schedule.from_seed(seed, sink="rest").faults]
    assert {fault.kind for fault in faults} == set(KINDS) - ONLY_IN_BULK


def test_mlflow_and_its_database_are_never_hit_at_once() -> None:
    kinds = {
        "kill mlflow",
        "freeze postgres",
        "hold writes and kill",
        "kill mlflow in a write",
        "take plugin away",
    }
    lanes = {f.kind: f.lanes for s in MANY for f in s.faults if f.kind in kinds}
    assert lanes == {
        "kill mlflow": ("stores",),
        "freeze postgres": ("stores",),
        "hold writes and kill": ("mlflow", "stores"),
        "kill mlflow in a write": ("mlflow", "stores"),
        "take plugin away": ("stores",),
    }


def test_a_schedule_can_be_read() -> None:
    lines = str(Schedule.from_seed(1, length=20, faults=3)).splitlines()
    assert lines[0] == "seed 1: 3 faults in 20 s, sink auto"
    assert len(lines) == 4
    assert " s  " in lines[1]
