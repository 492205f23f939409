"""What crosses the wire: items in, an outcome for each out, and the errors of a whole request."""

import gzip
import io
import json
import re
import zlib
from typing import Annotated, Any, Final, Literal

import msgspec
import zstandard

from feedback_batch.errors import RequestError

MAX_ITEMS: Final = 5_000
"""Items in a request."""

MAX_BYTES: Final = 32 * 1024 * 1024
"""Bytes of a request's body, as sent and after decompression."""

MAX_EXPERIMENTS: Final = 1_000
MAX_KEYS: Final = 100
"""Experiments, metadata and tags in a request for traces."""

_BIGGEST_ID: Final = 2**31 - 1
_BIGGEST_TIME: Final = 2**62

ENCODINGS: Final = ("gzip", "zstd")

VERSION_KEY: Final = "feedback.version"
EVENT_KEY: Final = "feedback.event_id"

Status = Literal[
    "logged", "already_there", "superseded", "withdrawn", "no_such_trace", "forbidden", "invalid"
]
"""What became of an item.

- ``logged``: created, or edited because it is newer than what stood there.
- ``already_there``: this very version stands there.
- ``superseded``: a newer version stands there, or was withdrawn.
- ``withdrawn``: it is not there, and nothing older than the withdrawal can come back.
- ``no_such_trace``: the trace is not there, or in another workspace.
- ``forbidden``: the caller has no right to do this in the trace's experiment.
- ``invalid``: it can never be stored; ``reason`` says why.
"""


_QUOTED: Final = re.compile(r"'.*'", re.DOTALL)


class Log(msgspec.Struct, frozen=True, tag_field="op", tag="log", kw_only=True):
    """One assessment to create or to edit; `Withdraw` takes one away.

    ``metadata`` holds the version in ``feedback.version`` (RFC 3339 in UTC, as ``datetime.isoformat`` gives
    it) and ``feedback.event_id`` (a UUID), by which the newest one wins. ``timestamp_ms`` is when the
    assessment was made, in milliseconds since 1970.
    """

    assessment_id: str
    trace_id: str
    name: str
    kind: Literal["feedback", "expectation"]
    value: Any
    source_type: Literal["HUMAN", "LLM_JUDGE", "CODE"]
    timestamp_ms: int
    metadata: dict[str, str]
    source_id: str | None = None
    span_id: str | None = None
    rationale: str | None = None


class Withdraw(msgspec.Struct, frozen=True, tag_field="op", tag="withdraw", kw_only=True):
    """An assessment that is to go, unless what stands there is newer; ``metadata`` as in `Log`."""

    assessment_id: str
    trace_id: str
    metadata: dict[str, str]


Item = Log | Withdraw


class Outcome(msgspec.Struct, frozen=True, omit_defaults=True):
    """What became of one item.

    ``trace_id`` is told where the assessment stands on another trace, on which the caller may do the same.
    """

    status: Status
    reason: str = ""
    trace_id: str = ""


class Resolve(msgspec.Struct, frozen=True, kw_only=True):
    """Requests whose traces are sought: in which experiments, how old they may be at most.

    ``keys`` are the metadata and tags to tell of each.
    """

    client_request_ids: list[str]
    experiment_ids: Annotated[list[str], msgspec.Meta(max_length=MAX_EXPERIMENTS)]
    since_ms: Annotated[int, msgspec.Meta(ge=-_BIGGEST_TIME, le=_BIGGEST_TIME)] | None = None
    keys: Annotated[list[str], msgspec.Meta(max_length=MAX_KEYS)] = []


class _Assessments(msgspec.Struct):
    items: list[msgspec.Raw]


_assessments: Final = msgspec.json.Decoder(_Assessments)
_item: Final[msgspec.json.Decoder[Item]] = msgspec.json.Decoder(Item)
_resolve: Final = msgspec.json.Decoder(Resolve)


def decode_items(body: bytes) -> list[Item | Outcome]:
    """Give the items of a request; one that is not what it should be is its own outcome already.

    Raises:
        RequestError: when the body is no such request, or has too many items.

    """
    try:
        raw = _assessments.decode(body).items
    except msgspec.ValidationError as error:
        raise RequestError.malformed(str(error)) from error
    except (msgspec.DecodeError, RecursionError) as error:
        raw = _apart(body, error)
    if len(raw) > MAX_ITEMS:
        raise RequestError.too_large(f"{len(raw)} items; the limit is {MAX_ITEMS}")
    return [_decode(item) for item in raw]


def _apart(body: bytes, error: Exception) -> list[msgspec.Raw]:
    """Take a body apart that is not quite JSON, so that a lone surrogate in one item fails that one alone.

    Raises:
        RequestError: when it is no JSON at all.

    """
    try:
        return [msgspec.Raw(json.dumps(item).encode()) for item in json.loads(body)["items"]]
    except (ValueError, TypeError, KeyError, RecursionError):
        raise RequestError.malformed("the body is no JSON, or nested too deeply") from error


def _decode(raw: msgspec.Raw) -> Item | Outcome:
    try:
        return _item.decode(raw)
    except (msgspec.MsgspecError, RecursionError) as error:
        if not isinstance(error, msgspec.ValidationError):
            return Outcome("invalid", "is no JSON, or nested too deeply")
        # What was sent is never told: it stands in quotes, where a choice among words is not one of them.
        return Outcome("invalid", _QUOTED.sub("another word", str(error)))


def decode_resolve(body: bytes) -> Resolve:
    """Give a request for traces.

    Raises:
        RequestError: when the body is no such request, or has too many ids.

    """
    try:
        asked = _resolve.decode(body)
    except (msgspec.MsgspecError, RecursionError) as error:
        raise RequestError.malformed(str(error)) from error
    if len(asked.client_request_ids) > MAX_ITEMS:
        raise RequestError.too_large(f"{len(asked.client_request_ids)} ids; the limit is {MAX_ITEMS}")
    try:
        numbers = [int(key) for key in asked.experiment_ids]
    except ValueError:
        numbers = [-1]
    if not all(0 <= number <= _BIGGEST_ID for number in numbers):
        raise RequestError.malformed("experiment_ids: must be numbers, as MLflow's ids are")
    # As MLflow writes them: who is asked for the rights to 07 must not answer for another than 7.
    return msgspec.structs.replace(
        asked,
        experiment_ids=[str(number) for number in numbers],
        client_request_ids=_storable(asked.client_request_ids),
        keys=_storable(asked.keys),
    )


def _storable(texts: list[str]) -> list[str]:
    """Leave out what stands in no database, and is refused by some."""
    return [text for text in texts if "\0" not in text]


def decompress(body: bytes, encoding: str) -> bytes:
    """Give the body as it was before its ``Content-Encoding``, never more than `MAX_BYTES` of it.

    Raises:
        RequestError: when it cannot be decompressed, is too large then, or the encoding is not known.

    """
    match encoding.strip().lower():
        case "" | "identity":
            return body
        case "gzip":
            opened: gzip.GzipFile | zstandard.ZstdDecompressionReader = gzip.GzipFile(
                fileobj=io.BytesIO(body)
            )
        case "zstd":
            opened = zstandard.ZstdDecompressor().stream_reader(body)
        case _:
            known = ", ".join(ENCODINGS)
            raise RequestError.encoding(f"Content-Encoding {encoding[:40]!r}; known are {known}")
    try:
        found = opened.read(MAX_BYTES + 1)
    except (OSError, EOFError, zlib.error, zstandard.ZstdError) as error:
        raise RequestError.malformed(f"the body is not {encoding}") from error
    if len(found) > MAX_BYTES:
        raise RequestError.too_large(f"more than {MAX_BYTES} bytes once decompressed")
    return found
