"""Searching MLflow for the traces of requests, hundreds of ids in one call."""

import re
from collections.abc import Collection, Mapping, Sequence
from datetime import UTC, datetime
from typing import Final
from uuid import UUID

import mlflow
from mlflow.entities import TraceInfo
from mlflow.exceptions import MlflowException
from mlflow.tracking._tracking_service.utils import _get_store

from contracts import limits
from contracts.events import Segment
from pipeline.adapters.mlflow_client import MlflowThreads, error_code, finding
from pipeline.adapters.mlflow_rights import advise
from pipeline.chat import Chat
from pipeline.outcomes import DependencyAwayError

IDS_AT_ONCE: Final = 200
_TRACES_FOR_AN_ID: Final = 3
_SAFE_ID: Final = re.compile(limits.REQUEST_ID_PATTERN, re.ASCII)
_STATES: Final = ("OK", "ERROR")
KEYS: Final = {name: name for name in Segment.model_fields} | {
    "session_id": "mlflow.trace.session",
    "user_id": "mlflow.trace.user",
}
"""Where a trace keeps the fields of a segment, where MLflow has a name of its own for it."""

_LATEST_MS: Final = 253_402_300_799_000
"""The last second of the year 9999: a trace written in nanoseconds must not end the consumer."""
_NO_EVENT: Final = UUID(int=0)
"""The event_id of a chat that no event told of; any real event of the same time is newer."""


class MlflowTraces:
    """`Traces` over the public ``mlflow.search_traces``.

    Args:
        experiments: names or ids; names are looked up once.
        threads: where the synchronous client runs.

    """

    def __init__(self, experiments: Sequence[str], threads: MlflowThreads) -> None:
        self._experiments = tuple(experiments)
        self._threads = threads
        self._locations: list[str] | None = None

    async def search(self, request_ids: Collection[str], *, since: datetime | None) -> Mapping[str, Chat]:
        """Find the traces of requests, `IDS_AT_ONCE` in a call.

        Raises:
            DependencyAwayError: when MLflow gives no answer, or an experiment does not exist.

        """
        locations = await self.locations()
        ids = sorted(request_ids)
        found: dict[str, Chat] = {}
        for start in range(0, len(ids), IDS_AT_ONCE):
            found |= await self._search_some(ids[start : start + IDS_AT_ONCE], since, locations)
        return found

    async def present(self, trace_ids: Collection[str]) -> set[str]:
        """Give those of the traces that are in the experiments.

        Raises:
            DependencyAwayError: when MLflow gives no answer, or does not let us search.

        """
        return {info.trace_id for info in await self.infos(trace_ids)}

    async def infos(self, trace_ids: Collection[str]) -> list[TraceInfo]:
        """Give what the experiments hold of these traces.

        Raises:
            DependencyAwayError: when MLflow gives no answer, or does not let us search.

        """
        locations = await self.locations()
        ids = sorted(trace_ids)
        found: list[TraceInfo] = []
        for start in range(0, len(ids), IDS_AT_ONCE):
            some = ids[start : start + IDS_AT_ONCE]
            found += await self._threads.run(_search, trace_filter(some), locations, len(some))
        return found

    async def holding(self, assessment_id: str, request_id: str) -> str | None:
        """Give which of the newest traces of a request has an assessment, None where none has.

        Raises:
            DependencyAwayError: when MLflow gives no answer, or does not let us search.

        """
        locations = await self.locations()
        infos = await self._threads.run(_search, search_filter([request_id], None), locations, IDS_AT_ONCE)
        holds = (info.trace_id for info in infos if _has(info, assessment_id))
        return next(holds, None)

    async def locations(self) -> list[str]:
        """Give the ids of the experiments.

        Raises:
            DependencyAwayError: when MLflow gives no answer, or an experiment does not exist.

        """
        if self._locations is None:
            self._locations = await self._threads.run(_locations, self._experiments)
        return self._locations

    async def _search_some(
        self, ids: Sequence[str], since: datetime | None, locations: Sequence[str]
    ) -> dict[str, Chat]:
        limit = _TRACES_FOR_AN_ID * len(ids)
        infos = await self._threads.run(_search, search_filter(ids, since), locations, limit)
        found = newest_traces(infos)
        rest = [key for key in ids if key not in found]
        # A request with many traces may have taken the place of others: those are searched again alone.
        if rest and found and len(infos) >= limit:
            found |= await self._search_some(rest, since, locations)
        return found


def search_filter(ids: Sequence[str], since: datetime | None) -> str:
    """Give the filter of a search.

    Raises:
        ValueError: for an id outside the contract's letters; nothing is ever escaped here.

    """
    if not all(_SAFE_ID.fullmatch(key) for key in ids):
        msg = "a client_request_id holds a character that must not reach an MLflow filter"
        raise ValueError(msg)
    quoted = ", ".join(f"'{key}'" for key in ids)
    recent = f" AND attributes.timestamp_ms > {int(since.timestamp() * 1000)}" if since else ""
    return f"attributes.client_request_id IN ({quoted}){recent}"


def trace_filter(trace_ids: Sequence[str]) -> str:
    """Give the filter of a search for traces by their ids.

    Raises:
        ValueError: for an id outside the contract's letters; nothing is ever escaped here.

    """
    if not all(_SAFE_ID.fullmatch(key) for key in trace_ids):
        msg = "a trace_id holds a character that must not reach an MLflow filter"
        raise ValueError(msg)
    quoted = ", ".join(f"'{key}'" for key in trace_ids)
    return f"attributes.request_id IN ({quoted})"


def newest_traces(infos: Sequence[TraceInfo]) -> dict[str, Chat]:
    """Choose among several traces of a request: the newest that is OK, else that failed, else the newest."""
    best: dict[str, TraceInfo] = {}
    for info in infos:
        request_id = info.client_request_id or ""
        known = best.get(request_id)
        if known is None or _rank(info) > _rank(known):
            best[request_id] = info
    return {request_id: _chat(request_id, info) for request_id, info in best.items()}


def _rank(info: TraceInfo) -> tuple[int, int, str]:
    state = str(info.state.value)
    return -_STATES.index(state) if state in _STATES else -len(_STATES), info.request_time, info.trace_id


def _search(filter_string: str, locations: Sequence[str], limit: int) -> list[TraceInfo]:
    try:
        traces = mlflow.search_traces(
            locations=list(locations),
            filter_string=filter_string,
            max_results=limit,
            order_by=["attributes.timestamp_ms DESC"],
            include_spans=False,
            return_type="list",
        )
    except MlflowException as error:
        raise DependencyAwayError("mlflow", f"search: {advise(error_code(error))}") from error
    except ValueError as error:
        # Such as a proxy's page, which the client fails to parse.
        raise DependencyAwayError("mlflow", "search: an answer that is not MLflow's") from error
    return [trace.info for trace in traces]


def _has(info: TraceInfo, assessment_id: str) -> bool:
    return any(assessment.assessment_id == assessment_id for assessment in info.assessments)


def _locations(experiments: Sequence[str]) -> list[str]:
    return [_experiment_id(name) for name in experiments]


def _experiment_id(name: str) -> str:
    # mlflow-tracing has no public look-up; this is what its own tracing code calls. An id is looked up too:
    # a search in an experiment that does not exist finds nothing, and all feedback would be dead-lettered.
    store = _get_store()
    try:
        look_up = store.get_experiment if name.isdigit() else store.get_experiment_by_name
        experiment = look_up(name)
    except MlflowException as error:
        if finding(error) != "missing":
            raise DependencyAwayError("mlflow", f"get experiment: {advise(error_code(error))}") from error
        experiment = None
    if experiment is None:
        detail = f"experiment {name!r} does not exist; check FEEDBACK_MLFLOW_EXPERIMENTS"
        raise DependencyAwayError("mlflow", detail)
    return str(experiment.experiment_id)


def _chat(request_id: str, info: TraceInfo) -> Chat:
    return chat_of(request_id, info.trace_id, info.request_time, {**info.tags, **info.trace_metadata})


def chat_of(request_id: str, trace_id: str, began_ms: int, said: Mapping[str, str]) -> Chat:
    """Give the chat that a trace tells of: when it began, and what is said by its metadata and tags."""
    texts = {name: said.get(key) or said.get(name) or "" for name, key in KEYS.items()}
    segment = {name: _storable(text)[: limits.NAME_LENGTH] or None for name, text in texts.items()}
    return Chat(
        client_request_id=request_id,
        trace_id=trace_id,
        # When it began: the chat's own event tells of its end, and so is the newer of the two.
        completed_at=datetime.fromtimestamp(min(max(began_ms, 0), _LATEST_MS) / 1000, UTC),
        event_id=_NO_EVENT,
        segment=Segment(**segment),
    )


def _storable(text: str) -> str:
    """Leave out what Postgres cannot hold: NUL, and halves of surrogate pairs."""
    return text.replace("\0", "").encode(errors="ignore").decode()
