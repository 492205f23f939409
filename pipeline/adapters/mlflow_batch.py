"""The sink over the bulk endpoints that our plugin adds to an MLflow server: one request for a batch."""

import asyncio
import time
from collections.abc import Collection, Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime
from typing import Any, Final, Literal

import pydantic_core
import structlog
from mlflow.exceptions import MlflowException
from mlflow.tracking._tracking_service.utils import _get_store
from mlflow.utils.rest_utils import http_request
from requests import Response
from requests.exceptions import RequestException

from pipeline.adapters.mlflow_client import MlflowThreads
from pipeline.adapters.mlflow_rights import FORBIDDEN, advise
from pipeline.adapters.mlflow_traces import KEYS, MlflowTraces, chat_of
from pipeline.chat import Chat
from pipeline.outcomes import (
    Away,
    Dead,
    DependencyAwayError,
    Logged,
    NotBegun,
    Retry,
    SinkOutcome,
    Superseded,
    Withdrawn,
)
from pipeline.ports import Sink, Write

_log = structlog.get_logger(__name__)

PATH: Final = "/api/3.0/mlflow/feedback-batch"
PROTOCOL: Final = 1
ASK_AGAIN_SECONDS: Final = 30
"""How long a server without the plugin is written to one by one before it is asked again."""

_LOGGED: Final = frozenset({"logged", "already_there"})
_OK: Final = 200
_TOO_MUCH: Final = (413, 500)
"""Larger than something on the way takes, or one of the items is what the plugin stumbles over."""
_REFUSED: Final = {401: "UNAUTHENTICATED", 403: FORBIDDEN}
_STRANGE: Final = 400
"""The plugin, or something before it, cannot read the request: one by one it is seen which item that is."""
_NOT_THERE: Final = (404, 405, 501)
"""MLflow has no such path, or the plugin is there and refuses this version of MLflow."""


@dataclass(frozen=True, slots=True)
class Plugin:
    """What the server's plugin said of itself."""

    backend: str
    mlflow: str
    max_items: int
    max_bytes: int


class MlflowBatchSink:
    """`Sink` over the bulk endpoints where the server has them, else over another sink.

    The server is asked once; it is asked again when it no longer knows the endpoints, and from time to time
    while it does not have them. Which version is the newer is decided by the statement that writes, so a
    request without an answer is simply sent again.

    Args:
        rest: what writes to a server without the plugin.
        threads: where the synchronous client runs.

    """

    def __init__(self, rest: Sink, threads: MlflowThreads) -> None:
        self._rest = rest
        self._threads = threads
        self._plugin: Plugin | None = None
        self._ask_at = 0.0
        self._asking = asyncio.Lock()

    async def log(self, writes: Sequence[Write], *, until: float) -> Sequence[SinkOutcome]:
        """Write a batch; an outcome for each, in order."""
        plugin = await self.plugin()
        if isinstance(plugin, Away):
            return [plugin] * len(writes)
        if plugin is None:
            return await self._rest.log(writes, until=until)
        items: list[bytes | SinkOutcome] = [_encode(write) for write in writes]
        outcomes: list[SinkOutcome] = [NotBegun() if isinstance(item, bytes) else item for item in items]
        numbers = [number for number, item in enumerate(items) if isinstance(item, bytes)]
        for part in _slices(numbers, items, plugin):
            told = await self._send(part, writes, items, until)
            for number, outcome in zip(part, told, strict=True):
                outcomes[number] = outcome
        return outcomes

    async def create(self, writes: Sequence[Write]) -> Sequence[bool]:
        """Try to write a batch once over the bulk endpoints; tells which are there for certain."""
        plugin = await self.plugin()
        if not isinstance(plugin, Plugin):
            return [False] * len(writes)
        items = [_encode(write) for write in writes]
        there = [False] * len(writes)
        for part in _slices([n for n, item in enumerate(items) if isinstance(item, bytes)], items, plugin):
            answer = await self._threads.run(_post, [items[number] for number in part])
            if isinstance(answer, list) and len(answer) == len(part):
                for number, said in zip(part, answer, strict=True):
                    there[number] = said.get("status") in _LOGGED
        return there

    async def plugin(self) -> Plugin | Away | None:
        """Give what the server's plugin says of itself, None when it has none, or why that is not known."""
        async with self._asking:
            if self._plugin is None and time.monotonic() >= self._ask_at:
                found = await self._threads.run(ask)
                if isinstance(found, Away):
                    return found
                self._ask_at = time.monotonic() + ASK_AGAIN_SECONDS
                self._plugin = found
                say_sink(found)
            return self._plugin

    async def _send(
        self, part: Sequence[int], writes: Sequence[Write], items: Sequence[Any], until: float
    ) -> Sequence[SinkOutcome]:
        if time.monotonic() >= until:
            return [NotBegun()] * len(part)
        asked = [writes[number] for number in part]
        answer = await self._threads.run(_post, [items[number] for number in part])
        if isinstance(answer, Away):
            return [answer] * len(part)
        if answer == "too much" and len(part) > 1:
            middle = len(part) // 2
            halves = [await self._send(half, writes, items, until) for half in (part[:middle], part[middle:])]
            return [*halves[0], *halves[1]]
        if answer == "not there":
            # The server was replaced by one without the plugin: until it comes back, one by one.
            self._plugin, self._ask_at = None, time.monotonic() + ASK_AGAIN_SECONDS
            say_sink(None)
        if isinstance(answer, str):
            return await self._rest.log(asked, until=until)
        if len(answer) != len(part):
            return [Away("mlflow", "an answer that is not our plugin's")] * len(part)
        return [_outcome(write, said) for write, said in zip(asked, answer, strict=True)]


class MlflowBatchTraces:
    """`Traces` over the plugin's own search, thousands of requests in a call, where the server has it.

    Args:
        traces: what searches a server without the plugin, and knows the experiments.
        sink: what knows whether there is a plugin.
        threads: where the synchronous client runs.

    """

    def __init__(self, traces: MlflowTraces, sink: MlflowBatchSink, threads: MlflowThreads) -> None:
        self._traces = traces
        self._sink = sink
        self._threads = threads

    async def search(self, request_ids: Collection[str], *, since: datetime | None) -> Mapping[str, Chat]:
        """Find the traces of requests.

        Raises:
            DependencyAwayError: when MLflow gives no answer, or an experiment does not exist.

        """
        plugin = await self._sink.plugin()
        if not isinstance(plugin, Plugin):
            return await self._traces.search(request_ids, since=since)
        locations = await self._traces.locations()
        ids = sorted(request_ids)
        found: dict[str, Chat] = {}
        for start in range(0, len(ids), plugin.max_items):
            some = ids[start : start + plugin.max_items]
            told = await self._threads.run(_resolve, some, locations, since)
            if isinstance(told, Away):
                raise DependencyAwayError(told.dependency, f"search: {advise(told.detail)}")
            found |= told if told is not None else await self._traces.search(some, since=since)
        return found


def _resolve(
    ids: Sequence[str], locations: Sequence[str], since: datetime | None
) -> dict[str, Chat] | Away | None:
    body = pydantic_core.to_json(
        {
            "client_request_ids": ids,
            "experiment_ids": locations,
            "since_ms": None if since is None else int(since.timestamp() * 1000),
            "keys": sorted({*KEYS, *KEYS.values()}),
        }
    )
    try:
        response = _request("POST", f"{PATH}/resolve", body)
    except (MlflowException, RequestException) as error:
        return Away("mlflow", type(error).__name__)
    if response.status_code in _NOT_THERE:
        return None
    if response.status_code != _OK:
        return Away("mlflow", _REFUSED.get(response.status_code, f"answered {response.status_code}"))
    try:
        return {
            request_id: chat_of(request_id, said["trace_id"], said["timestamp_ms"], said["said"])
            for request_id, said in pydantic_core.from_json(response.content)["traces"].items()
        }
    except (ValueError, TypeError, KeyError, AttributeError):
        return Away("mlflow", "an answer that is not our plugin's")


def say_sink(plugin: Plugin | None) -> None:
    """Say which sink is in use and what it carries: nobody should run thousands a second into one by one."""
    if plugin is None:
        _log.warning(
            "sink",
            sink="mlflow_rest",
            carries="about 130 assessments a second, however many consumers there are",
            mend="install feedback-mlflow-batch into the MLflow server: docs/performance.md",
        )
    else:
        _log.info(
            "sink",
            sink="mlflow_batch",
            backend=plugin.backend,
            mlflow=plugin.mlflow,
            carries="thousands of assessments a second",
        )


def ask() -> Plugin | Away | None:
    """Ask the server for the plugin."""
    try:
        response = _request("GET", PATH)
    except (MlflowException, RequestException) as error:
        return Away("mlflow", type(error).__name__)
    if response.status_code in _NOT_THERE:
        return None
    if response.status_code != _OK:
        return Away("mlflow", _REFUSED.get(response.status_code, f"answered {response.status_code}"))
    try:
        said = pydantic_core.from_json(response.content)
        if said["protocol"] != PROTOCOL:
            return None
        return Plugin(
            str(said["backend"]), str(said["mlflow"]), int(said["max_items"]), int(said["max_bytes"])
        )
    except (ValueError, TypeError, KeyError):
        return Away("mlflow", "an answer that is not MLflow's")


def _post(
    items: Sequence[bytes],
) -> list[dict[str, str]] | Literal["too much", "not there", "strange"] | Away:
    body = b'{"items":[' + b",".join(items) + b"]}"
    try:
        response = _request("POST", f"{PATH}/assessments", body)
    except (MlflowException, RequestException) as error:
        return Away("mlflow", type(error).__name__)
    status = response.status_code
    if status in _TOO_MUCH:
        return "too much"
    if status in _NOT_THERE:
        return "not there"
    if status == _STRANGE:
        return "strange"
    if status != _OK:
        return Away("mlflow", _REFUSED.get(status, f"answered {status}"))
    try:
        outcomes: list[dict[str, str]] = pydantic_core.from_json(response.content)["outcomes"]
    except (ValueError, TypeError, KeyError):
        return Away("mlflow", "an answer that is not our plugin's")
    return outcomes


def _request(method: str, path: str, body: bytes | None = None) -> Response:
    # MLflow's own request: its token, certificates, path prefix and workspace.
    response: Response = http_request(
        _get_store().get_host_creds(),
        path,
        method,
        max_retries=0,
        raise_on_status=False,
        data=body,
        extra_headers={"Content-Type": "application/json"},
    )
    return response


def _encode(write: Write) -> bytes | SinkOutcome:
    try:
        return pydantic_core.to_json(_item(write), inf_nan_mode="constants")
    except (ValueError, TypeError) as error:
        return Dead("rejected", f"it cannot be expressed as JSON: {type(error).__name__}")


def _item(write: Write) -> dict[str, object]:
    version = write.version
    where = {"assessment_id": version.assessment_id, "trace_id": write.trace_id}
    if version.op == "withdraw":
        return {"op": "withdraw", **where, "metadata": dict(write.metadata)}
    return {
        "op": "log",
        **where,
        "name": version.name,
        "kind": version.kind,
        "value": version.value,
        "source_type": version.source_type,
        "source_id": version.source_id,
        "span_id": version.span_id,
        "rationale": version.rationale,
        "timestamp_ms": int(version.submitted_at.timestamp() * 1000),
        "metadata": dict(write.metadata),
    }


def _slices(numbers: Sequence[int], items: Sequence[Any], plugin: Plugin) -> list[list[int]]:
    slices: list[list[int]] = []
    size = 0
    for number in numbers:
        length = len(items[number]) + 1
        if not slices or len(slices[-1]) >= plugin.max_items or size + length > plugin.max_bytes - 64:
            slices.append([])
            size = 0
        slices[-1].append(number)
        size += length
    return slices


def _outcome(write: Write, said: Mapping[str, str]) -> SinkOutcome:
    trace_id, assessment_id = write.trace_id, write.version.assessment_id
    match said.get("status"):
        case status if status in _LOGGED:
            return Logged(trace_id, assessment_id)
        case "superseded":
            return Superseded()
        case "withdrawn":
            return Withdrawn(trace_id, assessment_id)
        case "no_such_trace" if write.version.op == "withdraw":
            return Withdrawn(trace_id, assessment_id)
        case "no_such_trace":
            return Retry("trace_missing")
        case "forbidden":
            return Away("mlflow", FORBIDDEN)
        case "invalid":
            return Dead("rejected", f"MLflow's plugin refuses it: {said.get('reason', '')}")
        case other:
            return Away("mlflow", f"an outcome that we do not know: {str(other)[:40]}")
