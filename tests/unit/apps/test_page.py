"""What the service tells a browser of its pages."""

import re

import httpx
import pytest

from apps.chat.app import create_app
from apps.chat.settings import ChatSettings
from apps.feedback_api import ApiSettings
from consumers.settings import Settings

_POLICY = {
    "default-src": "'self'",
    "style-src": "'self' 'unsafe-inline'",
    "img-src": "'self' data:",
    "frame-ancestors": "'none'",
    "base-uri": "'none'",
    "form-action": "'self'",
}


def client() -> httpx.AsyncClient:
    served = create_app(Settings(), ApiSettings(open=True), ChatSettings())
    return httpx.AsyncClient(transport=httpx.ASGITransport(served), base_url="http://127.0.0.1")


def check(response: httpx.Response) -> None:
    policy = response.headers["content-security-policy"]
    assert dict(one.strip().split(" ", 1) for one in policy.split(";")) == _POLICY
    assert response.headers["x-content-type-options"] == "nosniff"
    assert response.headers["referrer-policy"] == "no-referrer"


@pytest.mark.parametrize("path", ["/", "/insights", "/index.html", "/icon.svg"])
async def test_a_page_loads_nothing_from_elsewhere_and_is_framed_by_nobody(path: str) -> None:
    async with client() as asking:
        response = await asking.get(path)
    assert response.status_code == 200
    check(response)


async def test_neither_does_its_script() -> None:
    async with client() as asking:
        (script,) = re.findall(r'src="(/assets/[^"]+\.js)"', (await asking.get("/")).text)
        response = await asking.get(script)
    assert response.headers["content-type"].startswith("text/javascript")
    check(response)


async def test_what_has_not_changed_is_still_said_to_be_so() -> None:
    async with client() as asking:
        tag = (await asking.get("/")).headers["etag"]
        response = await asking.get("/", headers={"If-None-Match": tag})
    assert response.status_code == 304
    check(response)


async def test_what_is_not_there_is_a_problem() -> None:
    async with client() as asking:
        response = await asking.get("/nowhere")
    assert response.status_code == 404
    assert response.headers["content-type"] == "application/problem+json"
