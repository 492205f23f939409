"""The requests that our plugin of an MLflow server takes, and what its answers mean."""

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime
from typing import Final, Literal

import pydantic_core
from mlflow.exceptions import MlflowException
from requests import Response
from requests.exceptions import RequestException

from pipeline.adapters.mlflow_client import send
from pipeline.adapters.mlflow_rights import FORBIDDEN
from pipeline.adapters.mlflow_traces import KEYS, chat_of
from pipeline.chat import Chat
from pipeline.outcomes import Away

PATH: Final = "/api/3.0/mlflow/feedback-batch"
PROTOCOL: Final = 1
_BEGIN: Final = b'{"items":['
_END: Final = b"]}"
_AS_IT_IS: Final[dict[str, object]] = {"max_retries": 0, "raise_on_status": False}
_OK: Final = 200
_TOO_LARGE: Final = 413
_REFUSED: Final = {401: "UNAUTHENTICATED", 403: FORBIDDEN}
_STRANGE: Final = (400, 500)
"""The plugin, or something before it, stumbles over the request: one by one it is seen over which item."""
_NOT_THERE: Final = (404, 405, 501)
"""MLflow has no such path, or the plugin is there and refuses this version of MLflow."""
_NOT_LET_IN: Final = 403
"""What some gateways say of a path that they do not know; the plugin itself says it of items alone."""

Refusal = Literal["too large", "not there", "strange"]
"""Of a whole request."""


@dataclass(frozen=True, slots=True)
class Plugin:
    """What the server's plugin said of itself."""

    backend: str
    mlflow: str
    max_items: int
    max_bytes: int


def ask() -> Plugin | Away | None:
    """Ask the server for the plugin."""
    try:
        response = send("GET", PATH, None, **_AS_IT_IS)
    except (MlflowException, RequestException) as error:
        return Away("mlflow", type(error).__name__)
    if response.status_code in (*_NOT_THERE, _NOT_LET_IN):
        return None
    if response.status_code != _OK:
        return _away(response)
    try:
        said = pydantic_core.from_json(response.content)
        if said["protocol"] != PROTOCOL:
            return None
        return Plugin(
            str(said["backend"]), str(said["mlflow"]), int(said["max_items"]), int(said["max_bytes"])
        )
    except (ValueError, TypeError, KeyError):
        return None  # such as the page that some proxies give for every path


def post(items: Sequence[bytes]) -> list[dict[str, str]] | Refusal | Away:
    """Write a batch; gives what became of each, or of all of it."""
    answer = _answer_to("assessments", _BEGIN + b",".join(items) + _END)
    if not isinstance(answer, Response):
        return answer
    try:
        outcomes: list[dict[str, str]] = pydantic_core.from_json(answer.content)["outcomes"]
    except (ValueError, TypeError, KeyError):
        return Away("mlflow", "an answer that is not our plugin's")
    return outcomes


def resolve(
    ids: Sequence[str], locations: Sequence[str], since: datetime | None
) -> dict[str, Chat] | Refusal | Away:
    """Find the traces of requests."""
    body = pydantic_core.to_json(
        {
            "client_request_ids": ids,
            "experiment_ids": locations,
            "since_ms": None if since is None else int(since.timestamp() * 1000),
            "keys": sorted({*KEYS, *KEYS.values()}),
        }
    )
    answer = _answer_to("resolve", body)
    if not isinstance(answer, Response):
        return answer
    try:
        return {
            request_id: chat_of(request_id, said["trace_id"], said["timestamp_ms"], said["said"])
            for request_id, said in pydantic_core.from_json(answer.content)["traces"].items()
        }
    except (ValueError, TypeError, KeyError, AttributeError):
        return Away("mlflow", "an answer that is not our plugin's")


def size_of(items: Sequence[bytes]) -> int:
    """Give the bytes of a request that writes them."""
    return len(_BEGIN) + sum(len(item) + 1 for item in items) + len(_END)


def _answer_to(path: str, body: bytes) -> Response | Refusal | Away:
    try:
        response = send("POST", f"{PATH}/{path}", body, **_AS_IT_IS)
    except (MlflowException, RequestException) as error:
        return Away("mlflow", type(error).__name__)
    status = response.status_code
    if status == _TOO_LARGE:
        return "too large"
    if status in _NOT_THERE:
        return "not there"
    if status in _STRANGE:
        return "strange"
    return response if status == _OK else _away(response)


def _away(response: Response) -> Away:
    status = response.status_code
    return Away("mlflow", _REFUSED.get(status, f"answered {status}"))
