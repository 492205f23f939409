"""Who is let in by where a request comes from, and what is refused without a look at all of it."""

from datetime import UTC, datetime, timedelta
from typing import Any

import httpx
import pytest
from fastapi import FastAPI, Request
from pydantic import SecretStr, TypeAdapter, ValidationError

from apps.chat.app import Message, without_user
from apps.chat.app import create_app as create_chat
from apps.chat.settings import ChatSettings
from apps.feedback_api import ApiSettings, FeedbackApi, feedback_router
from apps.feedback_api.app import create_app, furnish
from apps.feedback_api.guard import check_host, counted_address
from apps.feedback_api.models import OneOrMany
from apps.feedback_api.problems import ProblemError
from apps.feedback_api.tokens import Grant, TokenKeys
from consumers.settings import Settings
from contracts.identity import NAMESPACE


def request(**headers: str) -> Request:
    sent = [(name.replace("_", "-").encode(), value.encode()) for name, value in headers.items()]
    return Request({"type": "http", "method": "POST", "path": "/", "query_string": b"", "headers": sent})


@pytest.mark.parametrize(
    "host", ["127.0.0.1:8000", "127.0.0.1", "[::1]:8000", "localhost:8000", "a.localhost"]
)
def test_who_is_open_is_asked_by_an_address(host: str) -> None:
    check_host(request(host=host))


@pytest.mark.parametrize(
    "host", ["evil.example:8000", "localhost.evil.example", "127.0.0.1.evil.example", ""]
)
def test_a_name_that_leads_here_is_refused(host: str) -> None:
    with pytest.raises(ProblemError) as raised:
        check_host(request(host=host))
    assert raised.value.status == 403


def app() -> FastAPI:
    """Make the app, connected to nothing."""
    return create_app(Settings(), ApiSettings(open=True))


def client(served: FastAPI) -> httpx.AsyncClient:
    transport = httpx.ASGITransport(served, raise_app_exceptions=False)
    return httpx.AsyncClient(transport=transport, base_url="http://127.0.0.1")


async def test_what_nobody_thought_of_is_a_problem_too_and_says_nothing_of_itself() -> None:
    served = app()

    @served.get("/wrong")
    async def wrong() -> None:
        raise RuntimeError("secret")

    async with client(served) as asking:
        response = await asking.get("/wrong")
    assert response.status_code == 500
    assert response.headers["content-type"] == "application/problem+json"
    assert "secret" not in response.text


async def test_who_leaves_while_sending_is_no_error_of_ours() -> None:
    sent: list[Any] = []
    messages = iter([{"type": "http.request", "body": b"{", "more_body": True}, {"type": "http.disconnect"}])

    async def receive() -> Any:
        return next(messages)

    async def send(message: Any) -> None:
        sent.append(message)

    scope = dict(request(host="127.0.0.1").scope)
    scope |= {"path": "/v1/feedback", "http_version": "1.1", "scheme": "http", "root_path": ""}
    await app()(scope, receive, send)
    assert sent[0]["status"] == 400


@pytest.mark.parametrize("model", [OneOrMany, Message])
def test_a_thousand_unknown_fields_are_one_error(model: Any) -> None:
    many = {f"k{number}": 1 for number in range(1000)}
    said = {"message": "x", "assessments": [{"name": "n", "value": 1}]}
    with pytest.raises(ValidationError, match="there are only") as raised:
        TypeAdapter(model).validate_python(said | many)
    assert raised.value.error_count() == 1
    with pytest.raises(ValidationError) as raised:
        TypeAdapter(OneOrMany).validate_python({"assessments": [{"name": "n", "value": 1} | many]})
    assert raised.value.error_count() == 1


async def test_a_status_is_asked_for_where_the_routes_are_mounted() -> None:
    api = FeedbackApi(Settings(), ApiSettings(open=True))
    inner, outer = FastAPI(), FastAPI()
    furnish(inner, api.api)
    inner.include_router(feedback_router(api), prefix="/b")
    outer.mount("/a", inner)
    seen: list[str] = []

    @inner.middleware("http")
    async def look(given: Request, call_next: Any) -> Any:
        response = await call_next(given)
        seen.append(given.url_for("feedback_status", feedback_id=NAMESPACE).path)
        return response

    async with client(outer) as asking:
        await asking.post("/a/b/v1/feedback", json={})
    assert seen == [f"/a/b/v1/feedback/{NAMESPACE}"]


def test_an_address_is_shown_without_its_password() -> None:
    assert without_user("https://anna:geheim@mlflow.example:5000/sub/") == "https://mlflow.example:5000/sub"
    assert without_user("http://127.0.0.1:5000") == "http://127.0.0.1:5000"


async def test_what_people_say_is_not_for_everybody_to_read() -> None:
    closed = ApiSettings(token_keys=SecretStr(f"k:{'x' * 32}"), service_keys=SecretStr(f"bi:{'y' * 32}"))
    served = create_chat(Settings(), closed, ChatSettings())
    grant = Grant(
        client_request_id="r",
        trace_id=None,
        user="anna",
        names=("helpful",),
        expires_at=datetime.now(UTC) + timedelta(hours=1),
    )
    token = {"X-Feedback-Token": TokenKeys({"k": "x" * 32}).sign(grant)}
    async with client(served) as asking:
        for path in ("/v1/insights", "/v1/insights/stream"):
            assert (await asking.get(path)).status_code == 401
            assert (await asking.get(path, headers=token)).status_code == 403
        wrong = {"Authorization": "Bearer " + "z" * 32}
        assert (await asking.get("/v1/insights", headers=wrong)).status_code == 401
        right = {"Authorization": "Bearer " + "y" * 32}
        assert (await asking.get("/v1/insights?minutes=0", headers=right)).status_code == 422


@pytest.mark.parametrize(
    ("host", "counted"),
    [
        ("192.0.2.7", "192.0.2.7"),
        ("2001:db8:1:2:3:4:5:6", "2001:db8:1:2::/64"),
        ("::1", "::/64"),
        ("testclient", "testclient"),
        ("", ""),
    ],
)
def test_of_ipv6_the_network_of_one_customer_is_counted(host: str, counted: str) -> None:
    assert counted_address(host) == counted
