"""What is answered when something is wrong: RFC 9457's problem documents, without anything that was sent."""

from collections.abc import Mapping
from typing import Any, Final

from fastapi import Response
from pydantic import BaseModel, Field
from pydantic_core import to_json

MEDIA_TYPE: Final = "application/problem+json"

NO_POSTGRES: Final = "Postgres is away"

_TITLES: Final = {
    400: "Bad request",
    401: "Not authorized",
    403: "Not allowed",
    404: "Not found",
    409: "Conflict",
    410: "Gone",
    413: "Body too large",
    415: "Unsupported media type",
    422: "Against the contract",
    429: "Too many requests",
    500: "Internal error",
    503: "Try again",
}


class ProblemDocument(BaseModel):
    """What went wrong, as RFC 9457 has it."""

    type: str = Field(examples=["about:blank"])
    title: str = Field(examples=["Against the contract"])
    status: int = Field(examples=[422])
    detail: str = Field(examples=["assessments.0.name: is missing"])


class ProblemError(Exception):
    """Ends a request with a problem document."""

    def __init__(
        self, status: int, detail: str, *, headers: Mapping[str, str] | None = None, **extras: object
    ) -> None:
        super().__init__(detail)
        self.status = status
        self.detail = detail
        self.headers = dict(headers or {})
        self.extras = extras

    def response(self) -> Response:
        """Give the answer."""
        document = {
            "type": "about:blank",
            "title": _TITLES.get(self.status, "Problem"),
            "status": self.status,
            "detail": self.detail,
            **self.extras,
        }
        return Response(to_json(document), self.status, self.headers, MEDIA_TYPE)


def away(detail: str, *, seconds: int = 5) -> ProblemError:
    """Make the problem of what may be there again soon."""
    return ProblemError(503, detail, headers={"Retry-After": str(seconds)})


def documented(*statuses: int) -> dict[int | str, dict[str, Any]]:
    """Give what OpenAPI says of these problems."""
    return {
        status: {"description": _TITLES[status], "content": {MEDIA_TYPE: {"schema": _SCHEMA}}}
        for status in statuses
    }


_SCHEMA: Final = ProblemDocument.model_json_schema()
