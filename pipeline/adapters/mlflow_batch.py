"""The sink over the bulk endpoints that our plugin adds to an MLflow server: one request for a batch."""

import asyncio
import time
from collections.abc import Mapping, Sequence
from typing import Any, Final

import structlog

from pipeline.adapters.mlflow_batch_wire import Plugin, Refusal, ask, post, size_of
from pipeline.adapters.mlflow_client import MlflowThreads
from pipeline.adapters.mlflow_rights import FORBIDDEN
from pipeline.json_bytes import json_bytes
from pipeline.outcomes import (
    Away,
    Dead,
    Elsewhere,
    Logged,
    NotBegun,
    Retry,
    SinkOutcome,
    Superseded,
    Withdrawn,
)
from pipeline.ports import Sink, Write

_log = structlog.get_logger(__name__)

ASK_AGAIN_SECONDS: Final = 10
"""How long a server without the plugin is written to one by one before it is asked again."""

_LOGGED: Final = frozenset({"logged", "already_there"})
_FEWEST: Final = {"too large": 1, "strange": 16}
"""Up to so many are written one by one where even they get this answer; more are halved."""


class MlflowBatchSink:
    """`Sink` over the bulk endpoints where the server has them, else over another sink.

    The server is asked once; it is asked again when it no longer knows the endpoints, and from time to time
    while it does not have them. Which version is the newer is decided by the statement that writes, so a
    request without an answer is simply sent again.

    Args:
        rest: what writes to a server without the plugin.
        threads: where the synchronous client runs.
        ask_again_seconds: how long a server without the plugin is written to before it is asked again.

    """

    def __init__(
        self, rest: Sink, threads: MlflowThreads, *, ask_again_seconds: float = ASK_AGAIN_SECONDS
    ) -> None:
        self._rest = rest
        self._threads = threads
        self._ask_again_seconds = ask_again_seconds
        self._room = _Room(0, 0)
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
        while numbers:
            part = self._room.first_of(numbers, items)
            told = await self._send(part, writes, items, until)
            for number, outcome in zip(part, told, strict=True):
                outcomes[number] = outcome
            if all(isinstance(outcome, Away) for outcome in told):
                break  # the others would wait as long for nothing, one after the other
            numbers = numbers[len(part) :]
        return outcomes

    async def create(self, writes: Sequence[Write]) -> Sequence[bool]:
        """Try to write a batch once over the bulk endpoints; tells which are there for certain."""
        plugin = await self.plugin()
        if not isinstance(plugin, Plugin):
            return [False] * len(writes)
        items = [_encode(write) for write in writes]
        there = [False] * len(writes)
        numbers = [number for number, item in enumerate(items) if isinstance(item, bytes)]
        while numbers:
            part = self._room.first_of(numbers, items)
            numbers = numbers[len(part) :]
            answer = await self._post([items[number] for number in part])
            if not isinstance(answer, list):
                break  # whatever it is, `log` deals with it
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
                self.found(found)
            return self._plugin

    def found(self, plugin: Plugin | None) -> None:
        """Note what the server has; None also when it no longer has what it had."""
        self._ask_at = time.monotonic() + self._ask_again_seconds
        self._plugin = plugin
        if plugin is not None:
            self._room = _Room(plugin.max_items, plugin.max_bytes)
        say_sink(plugin)

    async def _send(
        self, part: Sequence[int], writes: Sequence[Write], items: Sequence[Any], until: float
    ) -> Sequence[SinkOutcome]:
        if time.monotonic() >= until:
            return [NotBegun()] * len(part)
        asked = [writes[number] for number in part]
        if self._plugin is None:
            return await self._rest.log(asked, until=until)
        answer = await self._post([items[number] for number in part])
        match answer:
            case list():
                return [_outcome(write, said) for write, said in zip(asked, answer, strict=True)]
            case Away():
                return [answer] * len(part)
            case "too large" | "strange" if len(part) > _FEWEST[answer]:
                middle = len(part) // 2
                first = await self._send(part[:middle], writes, items, until)
                return [*first, *await self._send(part[middle:], writes, items, until)]
        return await self._rest.log(asked, until=until)

    async def _post(self, sent: Sequence[Any]) -> list[dict[str, str]] | Refusal | Away:
        """Send one request, and learn from its answer."""
        answer = await self._threads.run(post, sent)
        match answer:
            case list() if len(answer) == len(sent):
                self._room.was_answered()
            case list():
                return Away("mlflow", "an answer that is not our plugin's")
            case Away():
                self._room.was_not_answered(len(sent))
            case "too large" if len(sent) > 1:
                self._room.was_too_large(size_of(sent))
            case "not there" if self._plugin is not None:
                # The server was replaced by one without the plugin: until it comes back, one by one.
                self.found(None)
        return answer


class _Room:
    """How much goes into one request: what the plugin takes, or less, as the answers have shown.

    Something before it may take less bytes; and where answers do not come in time, fewer items may do.
    """

    def __init__(self, items: int, size: int) -> None:
        self._most_items = items
        self._items = items
        self._size = size

    def first_of(self, numbers: Sequence[int], items: Sequence[Any]) -> Sequence[int]:
        """Give those that go into the next request, at least one."""
        size = size_of([items[numbers[0]]])
        for count, number in enumerate(numbers[1 : self._items], 1):
            size += len(items[number]) + 1
            if size > self._size:
                return numbers[:count]
        return numbers[: self._items]

    def was_answered(self) -> None:
        """Note that a request was answered."""
        self._items = min(self._items + self._items // 4 + 1, self._most_items)

    def was_not_answered(self, count: int) -> None:
        """Note that a request of so many items was not."""
        self._items = max(1, min(self._items, count // 2))

    def was_too_large(self, size: int) -> None:
        """Note that a request of so many bytes was refused."""
        self._size = min(self._size, size // 2)


def say_sink(plugin: Plugin | None) -> None:
    """Say which sink is in use and what it carries: nobody should run thousands a second into one by one."""
    if plugin is None:
        _log.warning(
            "sink",
            sink="mlflow_rest",
            carries="about 130 assessments a second, however many consumers there are",
            mend="install feedback-mlflow-batch into the MLflow server: mlflow_batch/README.md",
        )
    else:
        _log.info(
            "sink",
            sink="mlflow_batch",
            backend=plugin.backend,
            mlflow=plugin.mlflow,
            carries="thousands of assessments a second",
        )


def _encode(write: Write) -> bytes | SinkOutcome:
    try:
        return json_bytes(_item(write))
    except (ValueError, TypeError) as error:
        return Dead("rejected", f"it cannot be expressed as JSON: {type(error).__name__}")


def _item(write: Write) -> dict[str, object]:
    version = write.version
    where = {"assessment_id": version.assessment_id, "trace_id": write.trace_id}
    if version.op == "withdraw":
        return {"op": "withdraw", **where, "metadata": write.metadata}
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
        "metadata": write.metadata,
    }


def _outcome(write: Write, said: Mapping[str, str]) -> SinkOutcome:
    trace_id, assessment_id = write.trace_id, write.version.assessment_id
    elsewhere = said.get("trace_id")
    match said.get("status"):
        case _ if isinstance(elsewhere, str) and elsewhere not in ("", trace_id):
            return Elsewhere(elsewhere)
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
