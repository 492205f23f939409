"""Traffic comes from seeds, has something of everything, and gives each run ids of its own."""

import signal
from collections import Counter
from datetime import UTC, datetime

import pytest

from chaos.__main__ import end_as_by_ctrl_c, events_of, seeds_of, sink_of
from chaos.traffic import Plan, plan_traffic
from contracts.events import ChatCompleted, FeedbackSubmitted, FeedbackWithdrawn

NOON = datetime(2026, 1, 31, 12, 0, tzinfo=UTC)


def plan(seed: int, prefix: str = "a-", events: int = 2000) -> Plan:
    return plan_traffic(seed, events, length=30, begin=NOON, prefix=prefix)


def test_the_same_seed_gives_the_same_traffic() -> None:
    assert plan(1) == plan(1)
    assert plan(1).sends != plan(2).sends


def test_so_many_records_in_their_time() -> None:
    sends = plan(1).sends
    assert 2000 <= len(sends) < 2020
    assert all(0 <= send.at <= 30 for send in sends)
    assert [send.at for send in sends] == sorted(send.at for send in sends)


def test_there_is_something_of_everything() -> None:
    sends = plan(1).sends
    kinds = Counter(type(send.event) for send in sends)
    assert kinds.keys() == {ChatCompleted, FeedbackSubmitted, FeedbackWithdrawn, type(None)}
    said = [send.event for send in sends if isinstance(send.event, FeedbackSubmitted)]
    assert max(Counter(event.event_id for event in said).values()) > 1
    assert {a.kind for event in said for a in event.assessments} == {"feedback", "expectation"}
    assert {len(event.assessments) for event in said} >= {1, 2, 3}
    assert any(event.client_request_id is None for event in said)
    assert any(event.source.id is None for event in said)
    arrived = [(event.reference, event.who, event.submitted_at) for event in said]
    assert arrived != sorted(arrived, key=lambda one: one[2])
    requests = plan(1).requests.values()
    assert {len(request.traces) for request in requests} == {0, 1, 2}
    assert any(trace.request_id is None for request in requests for trace in request.traces)
    assert any(trace.at > 0 for request in requests for trace in request.traces)


def test_two_runs_of_a_seed_share_no_trace_and_no_request() -> None:
    one, other = plan(1, "a-"), plan(1, "b-")
    assert not one.requests.keys() & other.requests.keys()
    assert not {trace.trace_id for trace in one.traces} & {trace.trace_id for trace in other.traces}


@pytest.mark.parametrize(
    ("text", "seeds"), [("3", [1, 2, 3]), ("5..7", [5, 6, 7]), ("3,9", [3, 9]), ("7,", [7])]
)
def test_seeds(text: str, seeds: list[int]) -> None:
    assert seeds_of(text) == seeds


def test_mixed_seeds_write_in_bulk_but_every_fourth_that_has_fewer_events() -> None:
    sinks = [sink_of(seed, "mixed") for seed in range(1, 9)]
    assert sinks == ["auto", "auto", "auto", "rest"] * 2
    assert [events_of(sink, 20_000) for sink in sinks[2:4]] == [20_000, 4_000]
    assert {sink_of(seed, "rest") for seed in range(9)} == {"rest"}


def test_sigterm_ends_a_run_as_ctrl_c_does_and_a_second_one_does_not_disturb_it() -> None:
    before = {number: signal.getsignal(number) for number in (signal.SIGTERM, signal.SIGINT)}
    try:
        signal.signal(signal.SIGINT, signal.SIG_IGN)  # as in a shell's background
        end_as_by_ctrl_c()
        with pytest.raises(KeyboardInterrupt):
            signal.raise_signal(signal.SIGTERM)
        signal.raise_signal(signal.SIGTERM)
    finally:
        for number, handler in before.items():
            signal.signal(number, handler)
