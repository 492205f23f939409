"""The chat service: answers, the feedback routes, what came in, and the page."""

import asyncio
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from functools import partial
from importlib.resources import files
from pathlib import Path
from typing import Annotated, Any, Final
from urllib.parse import urlsplit, urlunsplit
from uuid import uuid4

from fastapi import APIRouter, Depends, FastAPI, Header, Query, Request, Response
from fastapi.responses import FileResponse
from fastapi.sse import format_sse_event
from fastapi.staticfiles import StaticFiles
from pydantic import AfterValidator, BaseModel, ConfigDict, Field
from pydantic_core import to_json
from starlette.responses import StreamingResponse
from starlette.types import Scope

from apps.chat.answering import Answering
from apps.chat.asked import Asked
from apps.chat.insights import Insights
from apps.chat.library import own_library
from apps.chat.model import LocalModel, Model
from apps.chat.run import wait_for_experiment
from apps.chat.settings import ChatSettings
from apps.chat.streams import HEADERS, KEEP_ALIVE, FullError, GoneError, Streams
from apps.feedback_api import ApiSettings, FeedbackApi, feedback_router
from apps.feedback_api.app import furnish, operators_router
from apps.feedback_api.callers import PageCaller
from apps.feedback_api.guard import admit_anybody, admit_caller, guarded
from apps.feedback_api.headers import HeaderName, as_header
from apps.feedback_api.models import FewFields
from apps.feedback_api.problems import NO_POSTGRES, ProblemError, away, documented
from apps.feedback_api.receipts import Receipt
from consumers.settings import Settings
from contracts.fields import RequestId
from pipeline.outcomes import DependencyAwayError

_NOTICE: Final = (
    "Demo: feedback is taken from anybody who reaches this address (FEEDBACK_API_OPEN). "
    "Do not put it on a network."
)
_NOBODY: Final = "anonymous-"
_FULL: Final = "as many answers are under way as there may be"
_WEEK: Final = 7 * 24 * 60
_PAGE_HEADERS: Final = {
    # An answer is a model's text: were it ever taken for markup, its scripts would still do nothing.
    "Content-Security-Policy": "default-src 'self'; style-src 'self' 'unsafe-inline'; img-src 'self' data:; "
    "frame-ancestors 'none'; base-uri 'none'; form-action 'self'",
    "X-Content-Type-Options": "nosniff",
    "Referrer-Policy": "no-referrer",
}
_SHOWN: Final = (
    *("feedback_id", "event_id", "name", "kind", "value", "outcome", "trace_id", "app_version", "region"),
    *("submitted_at", "logged_at"),
)


def _no_nul(text: str) -> str:
    if "\0" in text:
        msg = "holds a NUL character, which no trace can hold; remove it"
        raise ValueError(msg)
    return text


class Message(FewFields):
    """What somebody asks."""

    model_config = ConfigDict(
        extra="forbid", json_schema_extra={"examples": [{"message": "What is a dead letter?"}]}
    )

    message: Annotated[str, Field(min_length=1, max_length=8000), AfterValidator(_no_nul)]


class ChatAnswer(BaseModel):
    """The answer, and what feedback on it needs."""

    response: str
    trace_id: str
    client_request_id: str
    feedback_token: str
    session_id: str
    user_id: str


async def _asked(
    said: Message,
    x_request_id: Annotated[RequestId | None, Header()] = None,
    x_session_id: Annotated[HeaderName | None, Header()] = None,
    x_user_id: Annotated[HeaderName | None, Header()] = None,
) -> Asked:
    return Asked(
        message=said.message,
        client_request_id=x_request_id or f"req-{uuid4().hex}",
        session_id=x_session_id or f"session-{uuid4().hex}",
        user_id=x_user_id or f"{_NOBODY}{uuid4().hex}",
        # Who sends back the id that we made is still nobody.
        is_signed_in=not (x_user_id or _NOBODY).startswith(_NOBODY),
    )


_Asked = Annotated[Asked, Depends(_asked)]


def create_app(settings: Settings, api_settings: ApiSettings, chat: ChatSettings) -> FastAPI:
    """Make the app.

    Args:
        settings: of Kafka, Postgres and MLflow; the traces go to the first of the experiments.
        api_settings: of the feedback routes.
        chat: of the chat.

    """
    api = FeedbackApi(settings, api_settings)
    streams = Streams(chat)
    api.metrics.streams(lambda: len(streams))
    answering = Answering(api, chat, *models(chat))

    stopping = asyncio.Event()

    def stop() -> None:
        stopping.set()
        api.hub.end_watches()

    @asynccontextmanager
    async def answers(app: FastAPI) -> AsyncIterator[None]:
        app.state.experiment_id = await wait_for_experiment(settings, stopping)
        page = (chat.mlflow_page or "").rstrip("/") or without_user(settings.mlflow_tracking_uri)
        app.state.mlflow_url = page
        trace_url = f"{page}/#/experiments/{app.state.experiment_id}/traces?selectedEvaluationId={{trace_id}}"
        app.state.insights = Insights(api.pool, trace_url)
        yield
        await streams.close()
        await answering.close()

    app = FastAPI(
        title="Sample chat",
        version="1",
        description="A chat service whose answers can be rated: what is said of them stands in MLflow.",
    )
    app.state.streams = streams
    app.state.stop = stop
    furnish(app, api_settings)
    app.include_router(feedback_router(api))
    # After the feedback's: what is opened last is closed first, and what ends is still told to Kafka.
    app.include_router(APIRouter(lifespan=answers))
    app.include_router(_chat_router(api, answering, streams))
    app.include_router(_config_router(api))
    app.include_router(_insights_router(api, chat))
    app.include_router(operators_router(api))
    app.mount("/metrics", api.metrics.asgi())
    _add_page(app)
    return app


def without_user(address: str) -> str:
    """Give an address as anybody may see it: there may be a password in it."""
    parts = urlsplit(address)
    return urlunsplit(parts._replace(netloc=parts.netloc.rpartition("@")[2])).rstrip("/")


def models(chat: ChatSettings) -> tuple[Model, Model]:
    """Give the models for whole and for streamed answers."""
    library = own_library()
    if chat.model_url is None:
        return LocalModel(library, word_seconds=0), LocalModel(library, word_seconds=chat.word_seconds)
    from apps.chat.openai_model import OpenAiModel  # noqa: PLC0415 - an extra

    key = chat.model_key.get_secret_value()
    model = OpenAiModel(library, url=chat.model_url, key=key, model=chat.model_name)
    return model, model


def _chat_router(api: FeedbackApi, answering: Answering, streams: Streams) -> APIRouter:
    router = APIRouter(tags=["chat"], route_class=guarded(api, admit_anybody))
    problems = documented(403, 413, 415, 422, 429, 503)

    @router.post("/chat", response_model=ChatAnswer, responses=problems)
    async def chat(asked: _Asked) -> Response:
        """Answer; the answer has a trace in MLflow, and a token to rate it with."""
        answer = await answering.answer(asked)
        return Response(to_json(answer), headers=_echo(asked), media_type="application/json")

    @router.post(
        "/chat/stream",
        response_class=StreamingResponse,
        responses={200: {"content": {"text/event-stream": {}}}, **documented(410), **problems},
    )
    async def stream(
        asked: _Asked,
        last_event_id: Annotated[int | None, Header(ge=0, description="goes on after this event")] = None,
    ) -> Response:
        """Answer as server-sent events; the same request id and message again go on where they were."""
        work = partial(answering.stream, asked)
        try:
            response = streams.open(asked, last_event_id, work)
        except GoneError:
            raise ProblemError(410, "what was said of this answer is not kept any more; ask again") from None
        except FullError:
            raise away(_FULL) from None
        response.headers.update(_echo(asked))
        return response

    return router


def _echo(asked: Asked) -> dict[str, str]:
    values = (asked.client_request_id, asked.session_id, asked.user_id)
    return dict(zip(("X-Request-ID", "X-Session-ID", "X-User-ID"), map(as_header, values), strict=True))


def _config_router(api: FeedbackApi) -> APIRouter:
    router = APIRouter(prefix="/v1", tags=["insights"], route_class=guarded(api, admit_anybody))

    @router.get("/config")
    async def config(request: Request) -> dict[str, Any]:
        """Tell the page what it must know."""
        return {
            "open": api.api.open,
            "mlflow_url": request.app.state.mlflow_url,
            "experiment_id": request.app.state.experiment_id,
            "notice": _NOTICE if api.api.open else None,
            "dimensions": ["accuracy", "helpfulness", "relevance"],
        }

    return router


async def _admit_reader(request: Request, api: FeedbackApi) -> None:
    """Let in a service, which may read what everybody has said.

    Raises:
        ProblemError: also 401, and 403 for pages: a token is for one answer.

    """
    await admit_caller(request, api)
    if isinstance(request.state.caller, PageCaller):
        raise ProblemError(
            403, "Insights are for services: send the bearer key of one; FEEDBACK_CHAT_INSIGHTS_OPEN allows"
        )


def _insights_router(api: FeedbackApi, chat: ChatSettings) -> APIRouter:
    admit = admit_anybody if chat.insights_open else _admit_reader
    router = APIRouter(prefix="/v1", tags=["insights"], route_class=guarded(api, admit))

    @router.get("/insights", responses=documented(401, 403, 422, 429, 503))
    async def insights(
        request: Request, minutes: Annotated[int, Query(ge=1, le=_WEEK)] = 60
    ) -> dict[str, Any]:
        """Sum up what came in within the last minutes."""
        found: Insights = request.app.state.insights
        try:
            return await found.of(minutes)
        except DependencyAwayError:
            raise away(NO_POSTGRES) from None

    @router.get("/insights/stream", response_class=StreamingResponse, responses=documented(401, 403, 429))
    async def insights_stream() -> Response:
        """Tell of each receipt as it comes, as server-sent events; who is slow sees the newest."""
        return StreamingResponse(
            _receipts(api, chat.keep_alive_seconds), headers=HEADERS, media_type="text/event-stream"
        )

    return router


async def _receipts(api: FeedbackApi, keep_alive: float) -> AsyncIterator[bytes]:
    with api.hub.watch() as watch:
        yield KEEP_ALIVE
        while not watch.is_over:
            found = await watch.next(keep_alive)
            yield b"".join(map(_receipt_event, found)) or KEEP_ALIVE


def _receipt_event(receipt: Receipt) -> bytes:
    shown = {name: receipt.get(name) for name in _SHOWN}
    return format_sse_event(data_str=to_json(shown).decode(), event="receipt")


def _add_page(app: FastAPI) -> None:
    """Serve the built page, where it is there."""
    folder = Path(str(files("apps.chat").joinpath("static")))
    page = folder / "index.html"
    if not page.is_file():
        return

    @app.get("/insights", include_in_schema=False)
    async def insights_page() -> FileResponse:
        return FileResponse(page, headers=_PAGE_HEADERS)

    app.mount("/", _PageFiles(directory=folder, html=True), name="page")


class _PageFiles(StaticFiles):
    """The page's files, which may load and do no more than they need to."""

    async def get_response(self, path: str, scope: Scope) -> Response:
        response = await super().get_response(path, scope)
        response.headers.update(_PAGE_HEADERS)
        return response
