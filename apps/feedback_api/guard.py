"""What every feedback route does before its own work: origin, rate, trust, size and type of the body."""

import asyncio
import hashlib
import time
from collections.abc import Callable, Coroutine
from http import HTTPStatus
from ipaddress import ip_address, ip_network
from typing import Any, Final
from urllib.parse import urlsplit

from fastapi import Request, Response
from fastapi.exceptions import RequestValidationError
from fastapi.routing import APIRoute
from starlette.exceptions import HTTPException
from starlette.requests import ClientDisconnect

from apps.feedback_api.callers import ServiceCaller
from apps.feedback_api.headers import text_of
from apps.feedback_api.problems import ProblemError
from apps.feedback_api.service import FeedbackApi
from contracts import limits
from contracts.parse import ContractError, problems_of

Handler = Callable[[Request], Coroutine[Any, Any, Response]]
Admit = Callable[[Request, FeedbackApi], Coroutine[Any, Any, None]]

_NO_JSON: Final = "the body is not JSON in UTF-8"
_SAFE: Final = frozenset({"GET", "HEAD", "OPTIONS"})
_DISCARDED: Final = 32 * 1024 * 1024
_DISCARD_SECONDS: Final = 5
_IPV6: Final = 6


def guarded(api: FeedbackApi, admit: Admit) -> type[APIRoute]:
    """Give a kind of route that is guarded, and that answers what is wrong as a problem."""

    class GuardedRoute(APIRoute):
        def get_route_handler(self) -> Handler:
            handler = super().get_route_handler()
            path = self.path_format

            async def handle(request: Request) -> Response:
                start = time.perf_counter()
                status = HTTPStatus.INTERNAL_SERVER_ERROR.value
                try:
                    response = await answer(request)
                    status = response.status_code
                finally:
                    api.metrics.request(path, status, time.perf_counter() - start)
                return response

            async def answer(request: Request) -> Response:
                try:
                    await admit(request, api)
                    return await handler(request)
                except ProblemError as problem:
                    return problem.response()
                except RequestValidationError as error:
                    return refused(error).response()
                except HTTPException as error:
                    return from_http(error).response()
                except ContractError as error:
                    return ProblemError(422, str(error)).response()
                except ClientDisconnect:
                    return ProblemError(400, "the client left before it had sent all").response()

            return handle

    return GuardedRoute


async def admit_anybody(request: Request, api: FeedbackApi) -> None:
    """Let a request in, with its body read.

    Raises:
        ProblemError: 403 for a foreign page, 413, 415 or 429.

    """
    await _admit_address(request, api)
    await _admit_body(request, api)


async def admit_caller(request: Request, api: FeedbackApi) -> None:
    """Let the request of a caller in, whom we trust, with its body read.

    Raises:
        ProblemError: 403 for a foreign page, 401, 413, 415 or 429.

    """
    headers = request.headers
    try:
        caller = api.trust.caller(
            token=headers.get("x-feedback-token"),
            authorization=headers.get("authorization"),
            user=_user_of(headers.get("x-user-id")),
            now=api.now(),
        )
    except ProblemError:
        await _admit_address(request, api)
        raise
    # A trusted service speaks for many, from one address.
    if not isinstance(caller, ServiceCaller):
        await _admit_address(request, api)
    request.state.caller = caller
    await _admit_body(request, api)


def _user_of(header: str | None) -> str | None:
    user = text_of(header or "")
    if len(user) > limits.NAME_LENGTH:
        raise ProblemError(422, f"X-User-ID: has more than {limits.NAME_LENGTH} characters, the limit")
    return user or None


async def _admit_address(request: Request, api: FeedbackApi) -> None:
    await api.rates.address(counted_address(request.client.host if request.client else ""))
    if api.api.open and not api.api.hosts:
        check_host(request)
    if request.method not in _SAFE:
        check_origin(request, api.api.origins)


def counted_address(host: str) -> str:
    """Give what is counted as one address: of IPv6 the network that one customer has."""
    try:
        address = ip_address(host)
    except ValueError:
        return host
    return str(ip_network((address, 64), strict=False)) if address.version == _IPV6 else host


async def _admit_body(request: Request, api: FeedbackApi) -> None:
    body = await read_body(request, api.api.body_bytes)
    kind = request.headers.get("content-type", "").partition(";")[0].strip().lower()
    if body and kind != "application/json" and not kind.endswith("+json"):
        raise ProblemError(415, "the body must be JSON, with Content-Type: application/json")


def check_host(request: Request) -> None:
    """Refuse names of the DNS: whoever owns one can let it lead here, and their page is then of our origin.

    Raises:
        ProblemError: 403.

    """
    name = request.url.hostname or ""
    try:
        ip_address(name)
    except ValueError:
        if name != "localhost" and not name.endswith(".localhost"):
            detail = "Host: who is open to all is asked by an address or localhost; FEEDBACK_API_HOSTS allows"
            raise ProblemError(403, detail) from None


def check_origin(request: Request, allowed: tuple[str, ...]) -> None:
    """Refuse what a page of another origin sends, unless it is allowed: browsers always say the origin.

    Raises:
        ProblemError: 403.

    """
    origin = request.headers.get("origin")
    if origin is None or origin in allowed:
        return
    if urlsplit(origin).netloc != request.headers.get("host", ""):
        raise ProblemError(
            403, "Origin: pages of this origin may not send feedback; FEEDBACK_API_ORIGINS allows"
        )


async def read_body(request: Request, limit: int) -> bytes:
    """Read the body, no more of it than the limit.

    Raises:
        ProblemError: 413.

    """
    declared = request.headers.get("content-length", "0")
    size, parts = 0, []
    is_large = declared.isdigit() and int(declared) > limit
    if not is_large:
        async for part in request.stream():
            size += len(part)
            if is_large := size > limit:
                break
            parts.append(part)
    if is_large:
        await _discard(request)
        raise ProblemError(413, f"the body has more than {limit} bytes, the limit")
    body = b"".join(parts)
    request._body = body  # noqa: SLF001 - where Starlette keeps it, for the handler
    return body


async def _discard(request: Request) -> None:
    """Read on without keeping: who is still sending does not see an answer before it has sent all."""
    size = 0
    try:
        async with asyncio.timeout(_DISCARD_SECONDS):
            while size < _DISCARDED:
                message = await request.receive()
                size += len(message.get("body", b""))
                if not message.get("more_body", False):
                    return
    except TimeoutError:
        return


def refused(error: RequestValidationError) -> ProblemError:
    """Give field and limit of each thing that is wrong, never what was sent."""
    details: list[Any] = []
    for given in error.errors():
        place = [
            part for part in given["loc"] if part not in {"body", "query", "path", "header", "one", "many"}
        ]
        details.append({**given, "loc": tuple(place)})
    if any(detail["type"] == "json_invalid" for detail in details):
        return ProblemError(422, _NO_JSON)
    return ProblemError(422, str(ContractError(*problems_of(details))))


def from_http(error: HTTPException) -> ProblemError:
    """Give the problem of what FastAPI itself refuses: only a body that is not even text is its 400."""
    if error.status_code == HTTPStatus.BAD_REQUEST:
        return ProblemError(422, _NO_JSON)
    return ProblemError(error.status_code, str(error.detail), headers=error.headers)


def digest_of(request: Request, body: bytes) -> bytes:
    """Give what tells one request from another, for idempotency keys."""
    what = f"{request.method} {request.url.path}?{request.url.query}\n".encode()
    return hashlib.sha256(what + body).digest()
