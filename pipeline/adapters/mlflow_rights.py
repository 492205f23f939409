"""What MLflow's refusals mean: wrong credentials, a missing right, or just a trace that is not there."""

import os
from collections.abc import Collection, Sequence
from typing import Final, Protocol

from pipeline.outcomes import Away, DependencyAwayError, Retry, SinkOutcome, Withdrawn
from pipeline.ports import Sink, Write

FORBIDDEN: Final = "PERMISSION_DENIED"
_UNKNOWN: Final = ("UNAUTHENTICATED", "CUSTOMER_UNAUTHORIZED")


def advise(code: str) -> str:
    """Add to a refusal's error code what to do; other codes stay as they are."""
    if code in _UNKNOWN:
        variables = "MLFLOW_TRACKING_USERNAME and MLFLOW_TRACKING_PASSWORD, or MLFLOW_TRACKING_TOKEN"
        return f"{code}: check {variables}"
    if code == FORBIDDEN:
        user = os.environ.get("MLFLOW_TRACKING_USERNAME")
        who = f"the user {user!r}" if user else "this client"
        return f"{code}: grant {who} EDIT on each experiment of FEEDBACK_MLFLOW_EXPERIMENTS"
    return code


class Present(Protocol):
    """Where it can be asked which traces there are."""

    async def present(self, trace_ids: Collection[str]) -> Collection[str]:
        """Give those of the traces that are in our experiments."""


class TellingSink:
    """A `Sink` that asks, where MLflow forbids a write, whether the trace is there at all.

    Its basic-auth app answers 403 for a trace that does not exist, to everyone but an admin. Waited for as a
    missing right, one feedback whose trace never comes would hold up all others.

    Args:
        sink: what writes.
        traces: what can be searched with the right to read alone; refused, where that is missing.

    """

    def __init__(self, sink: Sink, traces: Present) -> None:
        self._sink = sink
        self._traces = traces

    async def log(self, writes: Sequence[Write], *, until: float) -> Sequence[SinkOutcome]:
        """Write a batch; an outcome for each, in order."""
        outcomes = await self._sink.log(writes, until=until)
        forbidden = {
            write.trace_id for write, outcome in zip(writes, outcomes, strict=True) if _is_forbidden(outcome)
        }
        if not forbidden:
            return [_advised(outcome) for outcome in outcomes]
        try:
            present = await self._traces.present(forbidden)
        except DependencyAwayError as error:
            away = Away(error.dependency, error.detail)
            return [away if _is_forbidden(outcome) else outcome for outcome in outcomes]
        return [
            _missing(write) if _is_forbidden(outcome) and write.trace_id not in present else _advised(outcome)
            for write, outcome in zip(writes, outcomes, strict=True)
        ]


def _is_forbidden(outcome: SinkOutcome) -> bool:
    return isinstance(outcome, Away) and outcome.detail == FORBIDDEN


def _advised(outcome: SinkOutcome) -> SinkOutcome:
    return Away(outcome.dependency, advise(outcome.detail)) if isinstance(outcome, Away) else outcome


def _missing(write: Write) -> SinkOutcome:
    version = write.version
    if version.op == "withdraw":
        return Withdrawn(write.trace_id, version.assessment_id)
    return Retry("trace_missing")
