"""What the routes are served by: an app of FastAPI with its doors, and a server that ends cleanly."""

import asyncio
import signal
import socket
import sys
from collections.abc import Iterator
from contextlib import contextmanager, suppress

import mlflow
import structlog
import uvicorn
from fastapi import APIRouter, FastAPI, Request, Response
from fastapi.exceptions import RequestValidationError
from pydantic_core import to_json
from starlette.exceptions import HTTPException
from starlette.middleware.cors import CORSMiddleware
from starlette.middleware.trustedhost import TrustedHostMiddleware

from apps.feedback_api.guard import from_http, refused
from apps.feedback_api.problems import ProblemError
from apps.feedback_api.router import feedback_router
from apps.feedback_api.service import FeedbackApi
from apps.feedback_api.settings import ApiSettings
from consumers.settings import Settings

log = structlog.get_logger(__name__)

EXPOSED = ("X-Request-ID", "X-Session-ID", "X-User-ID", "Retry-After")


class ServerError(RuntimeError):
    """The server could not start; the message says why."""


class _Server(uvicorn.Server):
    """Leaves signals to us: uvicorn would raise them again after a clean end, and turn it into a failure."""

    @contextmanager
    def capture_signals(self) -> Iterator[None]:
        yield


def create_app(settings: Settings, api_settings: ApiSettings) -> FastAPI:
    """Make the app of the feedback routes alone."""
    api = FeedbackApi(settings, api_settings)
    app = FastAPI(title="Feedback", version="1", description="What is said of answers, into Kafka.")
    furnish(app, api_settings)
    app.include_router(feedback_router(api))
    app.include_router(operators_router(api))
    app.mount("/metrics", api.metrics.asgi())
    return app


def furnish(app: FastAPI, api: ApiSettings) -> None:
    """Let in whom the settings say, and answer errors as problems."""
    app.add_middleware(
        CORSMiddleware,
        allow_origins=list(api.origins),
        allow_methods=["GET", "POST", "DELETE"],
        allow_headers=[
            *("Authorization", "Content-Type", "Idempotency-Key", "Last-Event-ID", "X-Feedback-Token"),
            *EXPOSED[:3],
        ],
        expose_headers=list(EXPOSED),
    )
    app.add_middleware(TrustedHostMiddleware, allowed_hosts=list(api.hosts) or ["*"], www_redirect=False)
    app.add_exception_handler(HTTPException, _http_problem)
    app.add_exception_handler(RequestValidationError, _validation_problem)
    app.add_exception_handler(ProblemError, _problem)
    app.add_exception_handler(Exception, _internal_error)


async def _http_problem(_request: Request, error: Exception) -> Response:
    assert isinstance(error, HTTPException)  # noqa: S101 - as registered
    return from_http(error).response()


async def _validation_problem(_request: Request, error: Exception) -> Response:
    assert isinstance(error, RequestValidationError)  # noqa: S101 - as registered
    return refused(error).response()


async def _problem(_request: Request, error: Exception) -> Response:
    assert isinstance(error, ProblemError)  # noqa: S101 - as registered
    return error.response()


async def _internal_error(_request: Request, _error: Exception) -> Response:
    """Say nothing of what it was; the server logs it."""
    return ProblemError(500, "something is wrong with this service; its log has what").response()


def operators_router(api: FeedbackApi) -> APIRouter:
    """Make the routes of health."""
    router = APIRouter(include_in_schema=False)

    @router.get("/healthz")
    async def healthz() -> Response:
        """Tell that the process works."""
        return Response(b"{}", media_type="application/json")

    @router.get("/readyz")
    async def readyz() -> Response:
        """Tell whether feedback would be taken: 200, or 503 with what is away."""
        there = api.is_ready()
        away = [name for name, is_there in there.items() if not is_there]
        body = to_json({"ready": not away, "away": away})
        return Response(body, 503 if away else 200, media_type="application/json")

    return router


async def serve(  # noqa: PLR0913 - by name
    app: FastAPI, settings: Settings, api: ApiSettings, *, host: str, port: int, variable: str
) -> None:
    """Serve until SIGTERM or SIGINT, which lets the requests under way end.

    Args:
        app: what to serve.
        settings: of MLflow, and how long the end may take.
        api: how long a client may take nothing.
        host: where to listen.
        port: where to listen.
        variable: the setting of the port, for the message.

    Raises:
        ServerError: when nothing can listen there, or the app's start fails.

    """
    mlflow.set_tracking_uri(settings.mlflow_tracking_uri)
    config = uvicorn.Config(
        app,
        host=host,
        port=port,
        log_config=None,
        access_log=False,
        timeout_graceful_shutdown=settings.shutdown_seconds,
    )
    server = _Server(config)
    is_told_to_end = False

    def stop() -> None:
        nonlocal is_told_to_end
        is_told_to_end = server.should_exit = True
        getattr(app.state, "stop", lambda: None)()  # what would never end by itself

    for number in (signal.SIGTERM, signal.SIGINT):
        asyncio.get_running_loop().add_signal_handler(number, stop)
    try:
        door = _door(config, api.send_seconds)
    except SystemExit:
        msg = f"nothing can listen on {host}:{port} (it may be in use); set {variable}"
        raise ServerError(msg) from None
    log.info("serving", host=host, port=port)
    with suppress(SystemExit):  # how uvicorn tells that the app's start has failed
        await server.serve(sockets=[door])
    if not server.started and not is_told_to_end:
        msg = "the service could not start; its log says why"
        raise ServerError(msg)
    log.info("stopped")


def _door(config: uvicorn.Config, send_seconds: float) -> socket.socket:
    """Open the port; its connections are ended by the kernel when what was sent is not taken.

    Also those of a client that is there and does not read: no keep-alive finds it, and a close waits for it.
    """
    door = config.bind_socket()
    if sys.platform == "linux":
        door.setsockopt(socket.IPPROTO_TCP, socket.TCP_USER_TIMEOUT, round(send_seconds * 1000))
    return door
