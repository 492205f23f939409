"""The feedback routes."""

from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from typing import Annotated, Any
from uuid import UUID

from fastapi import APIRouter, Depends, Header, Query, Request, Response, Security
from fastapi.security import APIKeyHeader, HTTPBearer
from pydantic_core import to_json

from apps.feedback_api.callers import OpenCaller, PageCaller
from apps.feedback_api.guard import admit_caller, digest_of, guarded
from apps.feedback_api.headers import HeaderName
from apps.feedback_api.models import (
    Accepted,
    DetailedAccepted,
    FeedbackIn,
    OneOrMany,
    StatusAnswer,
    Thumbs,
    WithdrawalIn,
    without_none,
)
from apps.feedback_api.problems import documented
from apps.feedback_api.say import Asked
from apps.feedback_api.service import FeedbackApi
from apps.feedback_api.service import Request as Given
from apps.feedback_api.settings import load_api_settings
from consumers.settings import load_settings
from contracts.fields import Name, Rationale, RequestId, Time, TraceId

Wait = Annotated[
    float, Query(ge=0, le=30, description="seconds to wait for the receipts; 200 once they are there")
]
Rating = Annotated[int, Query(ge=1, le=5)]
_PROBLEMS = documented(401, 403, 409, 413, 415, 422, 429, 503)
_TOKEN = APIKeyHeader(name="X-Feedback-Token", scheme_name="feedback token", auto_error=False)
_SERVICE = HTTPBearer(scheme_name="service key", auto_error=False)
_RATED = ("accuracy", "helpfulness", "relevance")
_SCALE = 5
_STATUS = "feedback_status"
_NOBODY = "nobody"


async def _given(
    request: Request,
    wait: Wait = 0,
    idempotency_key: Annotated[
        str | None, Header(description="the same again makes a retry the same event")
    ] = None,
) -> Given:
    digest = digest_of(request, await request.body()) if idempotency_key is not None else None
    return Given(
        caller=request.state.caller,
        key=idempotency_key,
        digest=digest,
        wait=wait,
        status_path=_status_path(request),
    )


def _status_path(request: Request) -> str:
    """Say where the app that the router is in has it: looked up once, as that takes a while."""
    state, root = request.app.state, request.scope.get("app_root_path", request.scope.get("root_path", ""))
    known, path = getattr(state, _STATUS, (None, ""))
    if known != root:
        path = request.url_for(_STATUS, feedback_id=UUID(int=0)).path.rpartition("/")[0]
        setattr(state, _STATUS, (root, path))
    return str(path)


_Given = Annotated[Given, Depends(_given)]


def feedback_router(api: FeedbackApi | None = None) -> APIRouter:
    """Make the router; its lifespan connects to Kafka, Postgres and MLflow when the app that it is in starts.

    Args:
        api: what it works with; by default of the variables ``FEEDBACK_*``.

    Raises:
        SettingsError: naming each variable that is wrong.

    """
    api = api or FeedbackApi(load_settings(), load_api_settings())

    @asynccontextmanager
    async def lifespan(_app: object) -> AsyncIterator[None]:
        async with api.running():
            yield

    router = APIRouter(
        route_class=guarded(api, admit_caller),
        lifespan=lifespan,
        tags=["feedback"],
        dependencies=[Security(_TOKEN), Security(_SERVICE)],
    )
    _general(router, api)
    _thumbs(router, api)
    _ratings(router, api)
    return router


def _general(router: APIRouter, api: FeedbackApi) -> None:
    many = {"model": Accepted | list[Accepted]}

    @router.post(
        "/v1/feedback",
        status_code=202,
        response_model=Accepted | list[Accepted],
        responses={200: many | {"description": "Settled"}, **_PROBLEMS},
    )
    async def give_feedback(asked: OneOrMany, given: _Given) -> Response:
        """Give or change feedback of any kind: one, or a list of up to 100."""
        items = asked if isinstance(asked, list) else [asked]
        settled, answers = await api.take(items, given)
        return _answer(settled, answers if isinstance(asked, list) else answers[0])

    @router.delete(
        "/v1/feedback",
        status_code=202,
        response_model=Accepted,
        responses={200: {"model": Accepted, "description": "Settled"}, **_PROBLEMS},
    )
    async def withdraw_feedback(asked: WithdrawalIn, given: _Given) -> Response:
        """Take feedback back, by the same reference and the same person."""
        settled, (answer,) = await api.take([asked], given)
        return _answer(settled, answer)

    @router.get(
        "/v1/feedback/{feedback_id}",
        name=_STATUS,
        response_model=StatusAnswer,
        responses=documented(401, 403, 404, 422, 429, 503),
    )
    async def get_feedback(
        request: Request, feedback_id: UUID, event_id: UUID | None = None, submitted_at: Time | None = None
    ) -> Response:
        """Say what stands of a feedback; with event_id and submitted_at, what became of that event."""
        event = (event_id, submitted_at) if event_id else None
        return _json(200, without_none(await api.status(feedback_id, event, request.state.caller)))


def _thumbs(router: APIRouter, api: FeedbackApi) -> None:
    settled = {"model": Accepted, "description": "Settled"}

    @router.post("/feedback", status_code=202, response_model=Accepted, responses={200: settled, **_PROBLEMS})
    async def thumbs_by_trace(
        said: Thumbs, given: _Given, trace_id: TraceId, user_id: Name | None = None
    ) -> Response:
        """A person's thumb on a trace: the assessment `user_feedback`."""
        asked = _asked(given, "user_feedback", said, user_id, trace_id=trace_id)
        is_settled, (answer,) = await api.take([asked], given)
        return _answer(is_settled, answer)

    @router.post(
        "/chat_feedback",
        status_code=202,
        response_model=Accepted,
        responses={200: settled, **documented(404), **_PROBLEMS},
    )
    async def thumbs_by_request(
        said: Thumbs,
        given: _Given,
        client_request_id: RequestId,
        x_user_id: Annotated[HeaderName | None, Header()] = None,
    ) -> Response:
        """A person's thumb on a request: the assessment `response_is_correct`."""
        asked = _asked(given, "response_is_correct", said, x_user_id, client_request_id=client_request_id)
        is_settled, (answer,) = await api.take([asked], given, must_be_known=given.wait > 0)
        return _answer(is_settled, answer)


def _ratings(router: APIRouter, api: FeedbackApi) -> None:
    rated = {"model": DetailedAccepted, "description": "Settled"}

    @router.post(
        "/detailed-feedback",
        status_code=202,
        response_model=DetailedAccepted,
        responses={200: rated, **_PROBLEMS},
    )
    async def ratings(  # noqa: PLR0913, PLR0917 - the published guide has it so
        given: _Given,
        trace_id: TraceId,
        accuracy: Rating,
        helpfulness: Rating,
        relevance: Rating,
        user_id: Name,
        comment: Rationale | None = None,
    ) -> Response:
        """A person's ratings from 1 to 5: `user_accuracy` and its like, as 0.2 to 1."""
        numbers = dict(zip(_RATED, (accuracy, helpfulness, relevance), strict=True))
        parts: list[dict[str, Any]] = [
            {"name": f"user_{name}", "value": number / _SCALE} for name, number in numbers.items()
        ]
        parts[0]["rationale"] = comment
        asked = FeedbackIn.model_validate(
            {
                "trace_id": trace_id,
                **_who(given, user_id),
                "metadata": {"scale": "1-5"},
                "assessments": parts,
            }
        )
        is_settled, (answer,) = await api.take([asked], given)
        return _answer(is_settled, DetailedAccepted(**dict(answer), feedback_recorded=numbers))


def _asked(given: Given, name: str, said: Thumbs, user: str | None, **about: str) -> Asked:
    part = {"name": name, "value": said.is_correct, "rationale": said.comment}
    return FeedbackIn.model_validate({**about, **_who(given, user), "assessments": [part]})


def _who(given: Given, user: str | None) -> dict[str, Any]:
    """Give who says it: with a token its user, whom a user that is named as well must be.

    A token without a user vouches for nobody: then a user who is named tells people apart, and stands
    nowhere; without one it is one person for each answer, so that a second click is an edit.
    """
    caller = given.caller
    if isinstance(caller, PageCaller):
        if caller.user is None:
            return {"feedback_id": user or _NOBODY}
        return {"source": {"type": "HUMAN", "id": user}} if user is not None else {}
    if user is None and isinstance(caller, OpenCaller):
        user = caller.user
    return {"source": {"type": "HUMAN", "id": user}}


def _answer(settled: bool, answers: Accepted | list[Accepted]) -> Response:  # noqa: FBT001 - of two
    body = [without_none(one) for one in answers] if isinstance(answers, list) else without_none(answers)
    return _json(200 if settled else 202, body)


def _json(status: int, body: object) -> Response:
    return Response(to_json(body), status, media_type="application/json")
