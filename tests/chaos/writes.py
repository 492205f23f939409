"""The requests that write assessments into MLflow, told by how they begin: in bulk, or one by one."""

import re
from collections.abc import Mapping
from typing import Final

from chaos.proxy import Reply

BULK: Final = "bulk"
SINGLE: Final = "single"

_PLUGIN: Final = rb"/api/3\.0/mlflow/feedback-batch"
_ONE: Final = rb"/api/3\.0/mlflow/traces/[^/ ]+/assessments"

WRITES: Final[Mapping[str, re.Pattern[bytes]]] = {
    BULK: re.compile(rb"POST " + _PLUGIN + rb"/assessments "),
    SINGLE: re.compile(rb"(?:POST|PATCH|DELETE) " + _ONE),
}

# One by one only edits are held: a late create is refused by MLflow's primary key.
HELD: Final = re.compile(rb"\A(?:POST " + _PLUGIN + rb"/assessments |PATCH " + _ONE + rb")")

_LARGE: Final = 16 * 1024


def _page(status: str) -> bytes:
    """Give an answer such as a gateway gives: a page, not JSON."""
    page = f"<html><title>{status}</title></html>"
    return (
        f"HTTP/1.1 {status}\r\nContent-Type: text/html\r\nContent-Length: {len(page)}\r\n\r\n{page}".encode()
    )


HIDDEN: Final = Reply(re.compile(rb"(?:GET|POST) " + _PLUGIN + rb"[/ ]"), _page("404 Not Found"))
"""As if the server behind had no plugin: one of several behind a balancer, say."""

TOO_LARGE: Final = Reply(WRITES[BULK], _page("413 Request Entity Too Large"), larger_than=_LARGE)
"""As a gateway does that takes small bodies only."""
