"""What the fuzzing of the whole stack sends is what it says: good ones pass, bad ones do not."""

import random
from datetime import UTC, datetime

import pytest
from support.fuzz import COMMENT, Fuzz

from contracts.parse import FEEDBACK_EVENTS, ContractError, parse_event


def test_good_ones_pass_and_bad_ones_do_not() -> None:
    seed = random.randrange(10**9)
    print(f"seed {seed}")  # noqa: T201 - shown when it fails
    fuzz = Fuzz(seed, ["req-1", "req-2"])
    now = datetime.now(UTC)
    for _ in range(1000):
        event_id, record = fuzz.good()
        assert parse_event(record.value, FEEDBACK_EVENTS, recorded_at=now).event_id == event_id
        record = fuzz.bad()
        with pytest.raises(ContractError) as caught:
            parse_event(record.value, FEEDBACK_EVENTS, recorded_at=now)
        assert COMMENT not in str(caught.value)


def test_the_same_seed_gives_the_same_records() -> None:
    one, other = Fuzz(7, ["req-1"]), Fuzz(7, ["req-1"])
    assert [one.bad().key for _ in range(50)] == [other.bad().key for _ in range(50)]
