"""The endpoints, beside those that MLflow has."""

import logging
import os
from collections.abc import AsyncIterator, Callable, Mapping
from typing import Any, Final

import anyio
import msgspec
from anyio import CapacityLimiter
from fastapi import APIRouter, FastAPI, Request, Response
from mlflow.server.handlers import STATIC_PREFIX_ENV_VAR, _get_tracking_store
from mlflow.store.tracking.sqlalchemy_store import SqlAlchemyStore
from mlflow.version import VERSION
from starlette.routing import Mount

from feedback_batch import support, wire
from feedback_batch.dialects import Dialect
from feedback_batch.errors import RequestError
from feedback_batch.postgres import Postgres
from feedback_batch.rights import Rights
from feedback_batch.sqlite import Sqlite
from feedback_batch.traces import TraceFinder
from feedback_batch.writer import Writer

_log = logging.getLogger(__name__)

PATH: Final = "/api/3.0/mlflow/feedback-batch"
PROTOCOL: Final = 1
"""Raised when a client of an older one would misunderstand us."""

_AT_ONCE: Final = 2
"""Batches under way in one process; others wait, so that MLflow's own requests have threads and memory."""

_DIALECTS: Final[dict[str, type[Dialect]]] = {"postgresql": Postgres, "sqlite": Sqlite}

RightsOf = Callable[[Mapping[str, str]], Rights]


class _Store:
    """What is made of the tracking store with the first request: MLflow makes the store itself that late."""

    def __init__(self) -> None:
        support.check()
        store = _get_tracking_store()
        if not isinstance(store, SqlAlchemyStore):
            raise RequestError.unsupported("feedback-batch needs a database as the tracking store, not files")
        if store.db_type not in _DIALECTS:
            known = ", ".join(_DIALECTS)
            raise RequestError.unsupported(
                f"feedback-batch knows {known}; the tracking store is in {store.db_type}"
            )
        dialect = _DIALECTS[store.db_type]()
        scoped = type(store)._get_active_workspace is not SqlAlchemyStore._get_active_workspace

        def workspace() -> str | None:
            return store._get_active_workspace() if scoped else None

        self.db_type = str(store.db_type)
        self.writer = Writer(store.engine, dialect, workspace)
        self.writer.prepare()
        self.traces = TraceFinder(store.engine, workspace)


class Endpoints:
    """The endpoints of one server process."""

    def __init__(self, rights_of: RightsOf) -> None:
        self._rights_of = rights_of
        self._store: _Store | None = None
        self._limiter: CapacityLimiter | None = None

    def router(self) -> APIRouter:
        """Give the routes."""
        router = APIRouter()
        router.add_api_route(PATH, self.about, methods=["GET"])
        router.add_api_route(f"{PATH}/assessments", self.assessments, methods=["POST"])
        router.add_api_route(f"{PATH}/resolve", self.resolve, methods=["POST"])
        return router

    async def about(self, request: Request) -> Response:
        """Tell what can be done here; a client asks once."""
        del request

        def answer() -> dict[str, object]:
            return {
                "protocol": PROTOCOL,
                "mlflow": VERSION,
                "backend": self._stored().db_type,
                "max_items": wire.MAX_ITEMS,
                "max_bytes": wire.MAX_BYTES,
                "encodings": wire.ENCODINGS,
            }

        return await self._answer(answer)

    async def assessments(self, request: Request) -> Response:
        """Create, edit and withdraw; an outcome for each item, in their order."""

        def answer(body: bytes) -> dict[str, object]:
            stored, rights = self._stored(), self._rights_of(request.headers)
            items = wire.decode_items(wire.decompress(body, request.headers.get("content-encoding", "")))
            return {"outcomes": stored.writer.write(items, rights)}

        return await self._answer(answer, request)

    async def resolve(self, request: Request) -> Response:
        """Give the traces of many client request ids."""

        def answer(body: bytes) -> dict[str, object]:
            stored, rights = self._stored(), self._rights_of(request.headers)
            asked = wire.decode_resolve(wire.decompress(body, request.headers.get("content-encoding", "")))
            rights.must_read(asked.experiment_ids)
            return {"traces": stored.traces.find(asked)}

        return await self._answer(answer, request)

    def _stored(self) -> _Store:
        if self._store is None:
            self._store = _Store()
        return self._store

    async def _answer(
        self, work: Callable[..., dict[str, object]], request: Request | None = None
    ) -> Response:
        if self._limiter is None:
            self._limiter = CapacityLimiter(_AT_ONCE)
        try:
            given = [] if request is None else [await _body(request)]
            said = await anyio.to_thread.run_sync(work, *given, limiter=self._limiter)
        except RequestError as error:
            return _json({"error_code": error.code, "message": error.message}, error.status)
        except Exception as error:  # noqa: BLE001 - the message may quote what was sent
            _log.error("feedback-batch: %s", type(error).__name__, exc_info=error)
            return _json({"error_code": "INTERNAL_ERROR", "message": type(error).__name__}, 500)
        return _json(said, 200)


async def _body(request: Request) -> bytes:
    """Read the body, never more than we take.

    Raises:
        RequestError: when it is too large.

    """
    parts, size = [], 0
    async for part in _stream(request):
        size += len(part)
        if size > wire.MAX_BYTES:
            raise RequestError.too_large(f"more than {wire.MAX_BYTES} bytes")
        parts.append(part)
    return b"".join(parts)


def _stream(request: Request) -> AsyncIterator[bytes]:
    return request.stream()


def _json(said: Any, status: int) -> Response:
    return Response(msgspec.json.encode(said), status, media_type="application/json")


def install(app: FastAPI, endpoints: Endpoints) -> FastAPI:
    """Add the endpoints to MLflow's app, before the mount that takes every path."""
    app.include_router(endpoints.router(), prefix=os.environ.get(STATIC_PREFIX_ENV_VAR, "").rstrip("/"))
    routes = app.router.routes
    routes.sort(key=lambda route: isinstance(route, Mount))
    if said := support.refusal():
        _log.error("%s", said)
    return app
