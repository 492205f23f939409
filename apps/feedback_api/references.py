"""From a trace to its request, and back: what an event is about must not depend on which of the two was sent.

A feedback's identity is made from the request id where there is one. Somebody who sends the trace id alone
must get the same identity each time, so the request is looked for: in what this process has answered itself,
in the join index, and in the trace. A trace that none of them knows is asked for again for a moment.
"""

import asyncio
from collections import OrderedDict
from typing import Final

import structlog
from psycopg.errors import UndefinedTable

from apps.feedback_api.problems import away
from apps.feedback_api.say import About
from pipeline.adapters.mlflow_client import MlflowThreads
from pipeline.adapters.mlflow_traces import MlflowTraces
from pipeline.adapters.postgres import Pool
from pipeline.adapters.postgres_chats import PostgresChats
from pipeline.chat import Chat
from pipeline.outcomes import DependencyAwayError

log = structlog.get_logger(__name__)

_KNOWN: Final = 20_000
_AGAIN_SECONDS: Final = 0.25
_MLFLOW_SECONDS: Final = 2
"""How long MLflow may take for one answer: its client may try again by itself, for minutes."""

_NICETY_SECONDS: Final = 1
"""How long Postgres may take to tell the trace of a request, without which feedback does as well."""


class References:
    """Completes references.

    Args:
        pool: of Postgres, with the join index.
        traces: of MLflow.
        threads: where MLflow's client runs.
        seconds: how long a trace may be unknown.

    """

    def __init__(self, pool: Pool, traces: MlflowTraces, threads: MlflowThreads, *, seconds: float) -> None:
        self._chats = PostgresChats(pool)
        self._traces = traces
        self._threads = threads
        self._seconds = seconds
        self._requests: OrderedDict[str, str] = OrderedDict()
        self._trace_ids: OrderedDict[str, str] = OrderedDict()

    def know(self, client_request_id: str, trace_id: str) -> None:
        """Remember a request and its trace."""
        _put(self._requests, trace_id, client_request_id)
        _put(self._trace_ids, client_request_id, trace_id)

    async def complete(self, place: About) -> About:
        """Give both ids where both can be known.

        Raises:
            ProblemError: 503 when neither Postgres nor MLflow can say which request a trace belongs to.

        """
        request_id, trace_id = place.client_request_id, place.trace_id
        if request_id is not None:
            return About(request_id, trace_id or await self._trace_of(request_id))
        return About(await self._request_of(trace_id), trace_id) if trace_id else place

    async def find(self, client_request_id: str, *, seconds: float) -> str | None:
        """Give the trace of a request; asked for again until the time is up."""
        deadline = asyncio.get_running_loop().time() + seconds
        pause = _AGAIN_SECONDS
        while True:
            found = await self._trace_of(client_request_id) or await self._search(client_request_id)
            left = deadline - asyncio.get_running_loop().time()
            if found is not None or left <= 0:
                return found
            await asyncio.sleep(min(pause, left))
            pause *= (
                1.5  # many may wait for what nobody knows, and each search costs MLflow as much as a write
            )

    async def _trace_of(self, request_id: str) -> str | None:
        if (known := self._trace_ids.get(request_id)) is not None:
            return known
        try:
            async with asyncio.timeout(_NICETY_SECONDS):
                chat = (await self._chats.find([request_id])).get(request_id)
        except (DependencyAwayError, UndefinedTable, TimeoutError):
            return None  # the pipeline will look for it
        return self._keep(chat)

    async def _search(self, request_id: str) -> str | None:
        try:
            async with asyncio.timeout(_MLFLOW_SECONDS):
                return self._keep((await self._traces.search([request_id], since=None)).get(request_id))
        except (DependencyAwayError, TimeoutError):
            return None

    def _keep(self, chat: Chat | None) -> str | None:
        if chat is None or chat.trace_id is None:
            return None
        self.know(chat.client_request_id, chat.trace_id)
        return chat.trace_id

    async def _request_of(self, trace_id: str) -> str | None:
        deadline = asyncio.get_running_loop().time() + self._seconds
        while True:
            if (known := self._requests.get(trace_id)) is not None:
                return known
            is_told, request_id = await self._ask(trace_id)
            if is_told or asyncio.get_running_loop().time() >= deadline:
                return request_id
            await asyncio.sleep(_AGAIN_SECONDS)

    async def _ask(self, trace_id: str) -> tuple[bool, str | None]:
        """Ask both; gives whether the trace is known, and its request."""
        failed = 0
        try:
            chat = (await self._chats.find_by_trace([trace_id])).get(trace_id)
            if chat is not None:
                self._keep(chat)
                return True, chat.client_request_id
        except UndefinedTable:
            pass
        except DependencyAwayError:
            failed += 1
        try:
            async with asyncio.timeout(_MLFLOW_SECONDS):
                infos = await self._traces.infos([trace_id])
        except (DependencyAwayError, TimeoutError):
            if failed:
                detail = "neither Postgres nor MLflow can say which request the trace belongs to"
                raise away(detail) from None
            return False, None
        if not infos:
            return False, None
        if request_id := infos[0].client_request_id:
            self.know(request_id, trace_id)
        return True, request_id or None


def _put(known: OrderedDict[str, str], key: str, value: str) -> None:
    known[key] = value
    known.move_to_end(key)
    while len(known) > _KNOWN:
        known.popitem(last=False)
