"""What a refused write means: MLflow answers 403 for a missing right and for a missing trace alike."""

from collections.abc import Collection, Sequence
from typing import Any

import pytest
from support.samples import a_version

from pipeline.adapters.mlflow_rights import TellingSink, advise
from pipeline.adapters.mlflow_traces import trace_filter
from pipeline.log import Draft, write_of
from pipeline.outcomes import Away, DependencyAwayError, Logged, Retry, SinkOutcome, Withdrawn
from pipeline.ports import Write

UNTIL = 7.0


class Forbidding:
    """MLflow as a user sees it who may write to one trace only."""

    def __init__(self, *, present: Collection[str] = (), refuses_search: bool = False) -> None:
        self._present = present
        self._refuses_search = refuses_search
        self.asked: list[set[str]] = []

    async def log(self, writes: Sequence[Write], *, until: float) -> Sequence[SinkOutcome]:
        assert until == UNTIL
        return [
            Logged(write.trace_id, write.version.assessment_id)
            if write.trace_id == "tr-mine"
            else Away("mlflow", "PERMISSION_DENIED")
            for write in writes
        ]

    async def present(self, trace_ids: Collection[str]) -> Collection[str]:
        self.asked.append(set(trace_ids))
        if self._refuses_search:
            raise DependencyAwayError("mlflow", f"search: {advise('PERMISSION_DENIED')}")
        return set(trace_ids) & set(self._present)


def writes(*traces: str, **fields: Any) -> list[Write]:
    return [
        write_of(Draft(version=a_version(**fields), trace_id=trace, segment=None, written=None), trace)
        for trace in traces
    ]


async def test_what_is_forbidden_on_a_trace_that_is_there_is_waited_for_with_the_mend(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setenv("MLFLOW_TRACKING_USERNAME", "bot")
    server = Forbidding(present=["tr-there"])
    logged, there, gone = await TellingSink(server, server).log(
        writes("tr-mine", "tr-there", "tr-gone"), until=UNTIL
    )
    assert isinstance(logged, Logged)
    assert there == Away(
        "mlflow",
        "PERMISSION_DENIED: grant the user 'bot' EDIT on each experiment of FEEDBACK_MLFLOW_EXPERIMENTS",
    )
    assert gone == Retry("trace_missing")
    assert server.asked == [{"tr-there", "tr-gone"}]


async def test_a_withdrawal_from_a_trace_that_is_not_there_has_nothing_to_take_back() -> None:
    server = Forbidding()
    (write,) = writes("tr-gone", op="withdraw", value=None)
    (outcome,) = await TellingSink(server, server).log([write], until=UNTIL)
    assert outcome == Withdrawn("tr-gone", write.version.assessment_id)


async def test_who_may_not_even_search_waits() -> None:
    server = Forbidding(refuses_search=True)
    logged, away = await TellingSink(server, server).log(writes("tr-mine", "tr-there"), until=UNTIL)
    assert isinstance(logged, Logged)
    assert isinstance(away, Away)
    assert "EDIT" in away.detail


async def test_nothing_is_asked_where_nothing_is_forbidden() -> None:
    server = Forbidding()
    await TellingSink(server, server).log(writes("tr-mine"), until=UNTIL)
    assert server.asked == []


def test_wrong_credentials_name_the_variables() -> None:
    assert "MLFLOW_TRACKING_PASSWORD" in advise("UNAUTHENTICATED")
    assert advise("TEMPORARILY_UNAVAILABLE") == "TEMPORARILY_UNAVAILABLE"


def test_a_trace_id_is_never_escaped_but_refused() -> None:
    assert trace_filter(["tr-1", "tr-2"]) == "attributes.request_id IN ('tr-1', 'tr-2')"
    with pytest.raises(ValueError, match="must not reach an MLflow filter"):
        trace_filter(["tr-' OR 1"])
