"""The sink over the public mlflow-tracing client: one request an assessment, many at once."""

import asyncio
import time
from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace
from datetime import datetime
from functools import partial
from typing import Final
from uuid import UUID

import mlflow
from mlflow.entities import Assessment, AssessmentSource, Expectation, Feedback
from mlflow.exceptions import MlflowException
from pydantic_core import from_json
from tenacity import RetryCallState, Retrying, retry_if_result, stop_after_attempt, wait_random_exponential

from pipeline.adapters.mlflow_client import MlflowThreads, can_write, error_code, finding
from pipeline.adapters.mlflow_post import Posts
from pipeline.json_bytes import json_bytes
from pipeline.outcomes import Away, Dead, Logged, NotBegun, Retry, SinkOutcome, Superseded, Withdrawn
from pipeline.ports import Write
from pipeline.versions import Order

_TRIES: Final = 4
_LONGEST_WAIT: Final = 1.0
_MOST_TOGETHER: Final = 4
_ROUNDS: Final = 8
"""A thread gets a few writes at a time, as handing over costs a tenth of what a request costs; but each has
so many turns in a batch, so that they end together."""


class MlflowRestSink:
    """`Sink` over what ``log_assessment``, ``update_assessment`` and ``delete_assessment`` send.

    An answer that proves nothing is followed by a look (GET) before anything is written again.
    """

    def __init__(self, threads: MlflowThreads) -> None:
        self._threads = threads
        self._post = Posts()

    async def log(self, writes: Sequence[Write], *, until: float) -> Sequence[SinkOutcome]:
        """Write a batch, as many at once as may be under way; an outcome for each, in order."""
        size = max(1, min(len(writes) // (_ROUNDS * self._threads.size), _MOST_TOGETHER))
        parts = [writes[start : start + size] for start in range(0, len(writes), size)]
        running = (self._threads.run_early(self._log_each, part, until) for part in parts)
        written = await asyncio.gather(*running)
        return [outcome for part in written for outcome in part]

    def _log_each(self, writes: Sequence[Write], until: float) -> list[SinkOutcome]:
        return [self._log_safely(write, until) for write in writes]

    def _log_safely(self, write: Write, until: float) -> SinkOutcome:
        """Write one version; what the client raises becomes an outcome: one record must not end us all."""
        try:
            body = _body_of(write)
        except Exception as error:  # noqa: BLE001 - protobuf's errors have no common class
            return Dead("rejected", f"MLflow's client cannot express it: {type(error).__name__}")
        try:
            with self._threads.turn:
                return _log(write, until, partial(self._post, _path_of(write), body))
        except Exception as error:  # noqa: BLE001 - such as a proxy's page, which the client fails to parse
            return Away("mlflow", f"an answer that is not MLflow's: {type(error).__name__}")


@dataclass(frozen=True, slots=True)
class _Unclear:
    """Nothing is proven: look before writing again; ``answered`` tells a 500 from no answer at all."""

    answered: bool
    detail: str


def _log(write: Write, until: float, create: Callable[[], bytes]) -> SinkOutcome:
    """Write one version; blocks for as long as its requests take.

    Args:
        write: what to write.
        until: in seconds of `time.monotonic`; nothing is written later.
        create: sends the request that creates it.

    """
    tries = 0

    def attempt() -> SinkOutcome | _Unclear:
        nonlocal tries
        tries += 1
        if write.version.op == "withdraw":
            return _withdraw(write, until)
        looked = _look_and_edit(write, until) if write.may_exist or tries > 1 else None
        return _create(write, until, create) if looked is None else looked

    retrying = Retrying(
        retry=retry_if_result(lambda result: isinstance(result, _Unclear)),
        stop=stop_after_attempt(_TRIES),
        wait=wait_random_exponential(multiplier=0.05, max=_LONGEST_WAIT),
        retry_error_callback=_last,
    )
    result = retrying(attempt)
    match result:
        case _Unclear(answered=False):
            return Away("mlflow", result.detail)
        case Logged() | Withdrawn() if tries > 1:
            return replace(result, is_certain=False)
        case _Unclear() if not can_write(write.trace_id):
            return Away("mlflow", result.detail)
        case _Unclear():
            return Dead(
                "rejected",
                f"MLflow answers, but fails to store this each time ({result.detail}): see its server log",
            )
        case _:
            return result


def _last(state: RetryCallState) -> SinkOutcome | _Unclear:
    result: SinkOutcome | _Unclear = (
        state.outcome.result() if state.outcome else _Unclear(answered=False, detail="")
    )
    return result


def _look_and_edit(write: Write, until: float) -> SinkOutcome | _Unclear | None:
    """Edit what MLflow holds, or give None when it holds nothing."""
    if time.monotonic() >= until:
        return NotBegun()
    try:
        standing = mlflow.get_assessment(write.trace_id, write.version.assessment_id)
    except MlflowException as error:
        return None if finding(error) == "missing" else _failed(error)
    return _edit(write, standing, until)


def _edit(write: Write, standing: Assessment, until: float) -> SinkOutcome | _Unclear:
    version, there = write.version, _order(standing)
    if there is not None and there >= version.order:
        return _logged(write) if there == version.order else Superseded()
    if time.monotonic() >= until:
        return NotBegun()
    try:
        mlflow.update_assessment(write.trace_id, version.assessment_id, _edited(write, standing))
    except MlflowException as error:
        return _unclear(error) if finding(error) == "missing" else _failed(error)
    return _logged(write)


def _create(write: Write, until: float, create: Callable[[], bytes]) -> SinkOutcome | _Unclear:
    if time.monotonic() >= until:
        return NotBegun()
    try:
        answer = create()
    except MlflowException as error:
        return Retry("trace_missing") if finding(error) == "missing" else _failed(error)
    created = str(from_json(answer)["assessment"]["assessment_id"])
    return Logged(write.trace_id, created or write.version.assessment_id)


def _body_of(write: Write) -> bytes:
    assessment = assessment_of(write)
    assessment.trace_id = write.trace_id
    return json_bytes({"assessment": assessment.to_dictionary()})


def _path_of(write: Write) -> str:
    return f"/api/3.0/mlflow/traces/{write.trace_id}/assessments"


def _withdraw(write: Write, until: float) -> SinkOutcome | _Unclear:
    version = write.version
    if time.monotonic() >= until:
        return NotBegun()
    try:
        mlflow.delete_assessment(write.trace_id, version.assessment_id)
    except MlflowException as error:
        # Deleting twice does no harm, so whatever is not proven is simply done again.
        if finding(error) != "missing":
            return _failed(error)
    return Withdrawn(write.trace_id, version.assessment_id)


def _failed(error: MlflowException) -> SinkOutcome | _Unclear:
    match finding(error):
        case "away":
            return _away(error)
        case "refused":
            return _refused(error)
        case _:
            return _unclear(error)


def _unclear(error: MlflowException) -> _Unclear:
    return _Unclear(answered=finding(error) != "unclear", detail=error_code(error))


def _away(error: MlflowException) -> Away:
    return Away("mlflow", error_code(error))


def _refused(error: MlflowException) -> Dead:
    return Dead("rejected", f"MLflow refused it: {error_code(error)}")


def _logged(write: Write) -> Logged:
    return Logged(write.trace_id, write.version.assessment_id)


def _order(assessment: Assessment) -> Order | None:
    """Give the version that MLflow holds, or None where it is not one of ours."""
    metadata = assessment.metadata or {}
    try:
        return datetime.fromisoformat(metadata["feedback.version"]), UUID(metadata["feedback.event_id"])
    except (KeyError, ValueError):
        return None


def assessment_of(write: Write) -> Assessment:
    """Give the assessment to create, dated by the feedback's own time, so that backfills are not of today."""
    version = write.version
    milliseconds = int(version.submitted_at.timestamp() * 1000)
    common = {
        "name": version.name,
        "value": version.value,
        "source": AssessmentSource(source_type=version.source_type, source_id=version.source_id),
        "metadata": dict(write.metadata),
        "span_id": version.span_id,
        "create_time_ms": milliseconds,
        "last_update_time_ms": milliseconds,
    }
    if version.kind == "expectation":
        assessment: Assessment = Expectation(**common)
    else:
        assessment = Feedback(**common, rationale=version.rationale)
    assessment.assessment_id = version.assessment_id
    return assessment


def _edited(write: Write, standing: Assessment) -> Assessment:
    """Give the update: MLflow merges metadata and keeps a rationale of None, so what is gone is blanked."""
    assessment = assessment_of(write)
    gone = {key: "" for key in standing.metadata or {} if not key.startswith("mlflow.")}
    assessment.metadata = gone | dict(write.metadata)
    if write.version.kind == "feedback":
        assessment.rationale = write.version.rationale or ""
    return assessment
