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
from contracts.fields import Name, Rationale, RequestId, TraceId

Wait = Annotated[
    float, Query(ge=0, le=30, description="seconds to wait for the receipts; 200 once they are there")
]
Rating = Annotated[int, Query(ge=1, le=5)]
_PROBLEMS = documented(401, 403, 409, 413, 415, 422, 429, 503)
_TOKEN = APIKeyHeader(name="X-Feedback-Token", scheme_name="feedback token", auto_error=False)
_SERVICE = HTTPBearer(scheme_name="service key", auto_error=False)
_RATED = ("accuracy", "helpfulness", "relevance")
_SCALE = 5


async def _given(
    request: Request,
    wait: Wait = 0,
    idempotency_key: Annotated[
        str | None, Header(description="the same again makes a retry the same event")
    ] = None,
) -> Given:
    body = await request.body()
    return Given(caller=request.state.caller, key=idempotency_key, digest=digest_of(request, body), wait=wait)


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
    _plain(router, api)
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
        response_model=StatusAnswer,
        responses=documented(401, 404, 422, 429, 503),
    )
    async def get_feedback(request: Request, feedback_id: UUID, event_id: UUID | None = None) -> Response:
        """Say what stands of a feedback; with event_id, what became of that event."""
        return _json(200, without_none(await api.status(feedback_id, event_id, request.state.caller)))


def _plain(router: APIRouter, api: FeedbackApi) -> None:
    settled = {"model": Accepted, "description": "Settled"}
    rated = {"model": DetailedAccepted, "description": "Settled"}

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
        x_user_id: Annotated[Name | None, Header()] = None,
    ) -> Response:
        """A person's thumb on a request: the assessment `response_is_correct`."""
        asked = _asked(given, "response_is_correct", said, x_user_id, client_request_id=client_request_id)
        if given.wait:
            await api.known(client_request_id, seconds=given.wait)
        is_settled, (answer,) = await api.take([asked], given)
        return _answer(is_settled, answer)

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
                "source": _source(given, user_id),
                "metadata": {"scale": "1-5"},
                "assessments": parts,
            }
        )
        is_settled, (answer,) = await api.take([asked], given)
        return _answer(is_settled, DetailedAccepted(**dict(answer), feedback_recorded=numbers))


def _asked(given: Given, name: str, said: Thumbs, user: str | None, **about: str) -> Asked:
    part = {"name": name, "value": said.is_correct, "rationale": said.comment}
    return FeedbackIn.model_validate({**about, "source": _source(given, user), "assessments": [part]})


def _source(given: Given, user: str | None) -> dict[str, Any] | None:
    """Give who says it: with a token its user, whom a user that is named as well must be."""
    if user is None and isinstance(given.caller, PageCaller):
        return None
    if user is None and isinstance(given.caller, OpenCaller):
        user = given.caller.user
    return {"type": "HUMAN", "id": user}


def _answer(settled: bool, answers: Accepted | list[Accepted]) -> Response:  # noqa: FBT001 - of two
    body = [without_none(one) for one in answers] if isinstance(answers, list) else without_none(answers)
    return _json(200 if settled else 202, body)


def _json(status: int, body: object) -> Response:
    return Response(to_json(body), status, media_type="application/json")
