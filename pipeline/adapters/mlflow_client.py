"""The mlflow-tracing client as the pipeline needs it: no hidden retries, errors sorted by what they prove."""

import asyncio
import os
import re
import sys
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from contextlib import AbstractContextManager
from functools import partial
from importlib.util import find_spec
from threading import BoundedSemaphore
from typing import Final, Literal, TypeVar
from uuid import uuid4

import mlflow
import requests
from mlflow.exceptions import MlflowException, RestException
from mlflow.protos.databricks_pb2 import ErrorCode
from mlflow.tracking._tracking_service.utils import _get_store
from mlflow.utils.rest_utils import http_request
from requests.exceptions import RetryError

from pipeline.patience import alive

T = TypeVar("T")

Finding = Literal["missing", "refused", "away", "failed", "unclear"]
"""What an error proves.

- ``missing``: the trace or the assessment is not there.
- ``refused``: the server will never take this.
- ``away``: nothing was done: no rights, too busy, or its database is away.
- ``failed``: the server answered 500, or 400 for its database: the id is there already, or it cannot store
  this, or it stumbled.
- ``unclear``: no answer: it may have been done or not.

After the last two, look before writing again.
"""

_FINDINGS: Final[dict[str, Finding]] = {
    "RESOURCE_DOES_NOT_EXIST": "missing",
    "INVALID_PARAMETER_VALUE": "refused",
    "MALFORMED_REQUEST": "refused",
    "PERMISSION_DENIED": "away",
    "UNAUTHENTICATED": "away",
    "CUSTOMER_UNAUTHORIZED": "away",
    "REQUEST_LIMIT_EXCEEDED": "away",
    "TEMPORARILY_UNAVAILABLE": "away",
    "INTERNAL_ERROR": "failed",
    # What MLflow makes of most of its database's errors, such as that of a standby that cannot be written.
    "BAD_REQUEST": "failed",
}

PROBE: Final = "feedback-pipeline.probe"
"""The tag that is set on a trace, and taken away, to see whether MLflow writes at all."""

_TOO_LARGE: Final = "failed with error code 413 "
"""What a proxy before MLflow says of a body that it will never let pass, and the client makes of it."""

_SERVER_ERROR: Final = 500
_HIDDEN_STATUS: Final = re.compile(r"too many (\d{3}) error responses")

_TIMEOUT_SECONDS: Final = 15
_PREPARING: Final = 3

_TRIED_EACH_TIME: Final = ("dbruntime", "pyspark", "IPython")
"""What the client tries to import for each request, to see whether it runs in a notebook of Databricks."""


def configure_mlflow(*, concurrency: int, retries: bool = False) -> None:
    """Set what the client reads from the environment, where the user has not set it himself.

    Args:
        concurrency: threads that use the client.
        retries: whether its own retries stay, which the export of traces needs. Else they are off: they hide
            the answer and hold a thread for minutes; and a repeated create answers 500, which only looking
            can tell from a failure.

    """
    if not retries:
        os.environ["MLFLOW_HTTP_REQUEST_MAX_RETRIES"] = "0"
    os.environ.setdefault("MLFLOW_HTTP_REQUEST_TIMEOUT", str(_TIMEOUT_SECONDS))
    os.environ.setdefault("MLFLOW_HTTP_POOL_MAXSIZE", str(concurrency))
    os.environ.setdefault("MLFLOW_DISABLE_TELEMETRY", "true")
    os.environ.setdefault("DO_NOT_TRACK", "true")
    for name in _TRIED_EACH_TIME:
        if find_spec(name) is None:
            sys.modules[name] = None  # type: ignore[assignment]  # documented: its import fails at once


def send(method: str, path: str, body: bytes | None = None, **options: object) -> requests.Response:
    """Send a request with MLflow's own token, certificates, path prefix and workspace.

    Args:
        method: of HTTP.
        path: below the server's address.
        body: as JSON.
        options: of MLflow's ``http_request``.

    """
    json = {"Content-Type": "application/json"}
    creds = _get_store().get_host_creds()
    response: requests.Response = http_request(creds, path, method, data=body, extra_headers=json, **options)
    return response


def finding(error: MlflowException) -> Finding:
    """Say what an error proves; only an answer in MLflow's own form proves anything."""
    code = error_code(error)
    if isinstance(error, RestException):
        # A gateway's JSON has no code, and the client makes one of its own: nothing is known of MLflow.
        return _FINDINGS.get(code, "unclear") if "error_code" in error.json else "away"
    if (status := _hidden_status(error)) is not None:
        return "failed" if status == _SERVER_ERROR else "away"
    if _TOO_LARGE in str(error):
        return "refused"
    return "away" if _FINDINGS.get(code) == "away" else "unclear"


def _hidden_status(error: MlflowException) -> int | None:
    """Give the status of an answer whose body the client threw away: 429 and 5xx become a RetryError."""
    cause = error.__cause__ or error.__context__
    found = _HIDDEN_STATUS.search(str(cause)) if isinstance(cause, RetryError) else None
    return int(found[1]) if found else None


def error_code(error: MlflowException) -> str:
    """Name an error by its code alone: its text may hold what was sent."""
    code = error.error_code
    return code if isinstance(code, str) else ErrorCode.Name(code)


def can_write(trace_id: str) -> bool:
    """Tell whether the server writes something else to the same trace: then a failure is not its trouble.

    Only reading would prove nothing: a standby answers all reads. What is written is a tag, of another value
    each time, as the same one would not be written again; it is taken away at once, and should the answer be
    lost, then a tag is left that nobody counts.
    """
    try:
        mlflow.set_trace_tag(trace_id, PROBE, uuid4().hex)
        mlflow.delete_trace_tag(trace_id, PROBE)
    except Exception:  # noqa: BLE001 - whatever it is, the server does not write
        return False
    return True


class MlflowThreads:
    """Threads for the client, which is synchronous; as many requests as `size` are under way at once.

    Some threads more prepare their requests meanwhile: an MLflow that is at its limit must not wait for us.
    """

    def __init__(self, concurrency: int) -> None:
        self.size = concurrency
        self.turn: AbstractContextManager[object] = BoundedSemaphore(concurrency)
        self._pool = ThreadPoolExecutor(concurrency + _PREPARING, thread_name_prefix="mlflow")

    async def run(self, function: Callable[..., T], *args: object) -> T:
        """Run a function in one of the threads, in its turn."""
        return await self.run_early(self._in_turn, function, *args)

    async def run_early(self, function: Callable[..., T], *args: object) -> T:
        """Run a function in one of the threads; it takes its `turn` itself before it sends anything."""
        try:
            return await asyncio.get_running_loop().run_in_executor(self._pool, partial(function, *args))
        finally:
            alive()  # a batch may take long where MLflow is slow, but each request is bounded

    def _in_turn(self, function: Callable[..., T], *args: object) -> T:
        with self.turn:
            return function(*args)

    def close(self) -> None:
        """End the threads once their requests have ended."""
        self._pool.shutdown(wait=True, cancel_futures=True)
