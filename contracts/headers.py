"""Headers that the pipeline adds to a record that it passes on, in a block of fixed shape.

The block is appended after the record's own headers and always holds the same names in the same
order, so the original headers are everything before it, byte for byte, whatever they are called.
"""

import base64
import json
from collections.abc import Sequence
from dataclasses import asdict, dataclass, fields
from typing import Any, TypeVar

Headers = Sequence[tuple[str, bytes | None]]

PREFIX = "feedback-"


@dataclass(frozen=True, slots=True, kw_only=True)
class Block:
    """The headers that we add; each field is the header ``feedback-<field>``.

    ``null_key`` and ``null_value`` tell null from empty. ``original_headers`` is set only where a
    header's key is not UTF-8, which Kafka's clients cannot write again: JSON of base64 pairs.
    """

    reason: str
    origin_topic: str
    origin_partition: int
    origin_offset: int
    origin_timestamp: int
    null_key: bool
    null_value: bool
    assessments: str
    original_headers: str = ""

    def encode(self) -> list[tuple[str, bytes]]:
        """Give the block, in the order of the fields."""
        return [(_header(name), _text(value).encode()) for name, value in asdict(self).items()]


@dataclass(frozen=True, slots=True, kw_only=True)
class DeadLetterHeaders(Block):
    """Why a record is a dead letter and where it came from; ``detail`` is for a person."""

    detail: str


@dataclass(frozen=True, slots=True, kw_only=True)
class RetryHeaders(Block):
    """Which attempt comes next, when it is due, and when the first was; times in milliseconds since 1970."""

    attempt: int
    due_at: int
    first_seen: int


ENVELOPE_SIZE = len(fields(DeadLetterHeaders))

B = TypeVar("B", bound=Block)


def split_dead_letter(headers: Headers) -> tuple[list[tuple[str, bytes | None]], DeadLetterHeaders]:
    """Take a dead letter's headers apart: the original ones and what the pipeline said of it.

    Raises:
        ValueError: when the block is not there, so the record is not one of our dead letters.

    """
    return _split(headers, DeadLetterHeaders, "dead letter")


def split_retry(headers: Headers) -> tuple[list[tuple[str, bytes | None]], RetryHeaders]:
    """Take a parked record's headers apart: the original ones and what is to be tried again.

    Raises:
        ValueError: when the block is not there, so the record is not one that we parked.

    """
    return _split(headers, RetryHeaders, "parked record")


def _split(headers: Headers, kind: type[B], what: str) -> tuple[list[tuple[str, bytes | None]], B]:
    size = len(fields(kind))
    original, block = list(headers[:-size]), headers[-size:]
    if [name for name, _ in block] != header_names(kind):
        msg = f"not a {what} of this pipeline: its last headers are not the feedback-… block"
        raise ValueError(msg)
    texts = [(value or b"").decode() for _, value in block]
    values = {field.name: _value(field.type, text) for field, text in zip(fields(kind), texts, strict=True)}
    said = kind(**values)
    return (decode_headers(said.original_headers) if said.original_headers else original), said


def header_names(kind: type[Block]) -> list[str]:
    """Give the names of a block's headers, in their order."""
    return [_header(field.name) for field in fields(kind)]


def _header(field: str) -> str:
    return PREFIX + field.replace("_", "-")


def _value(kind: object, text: str) -> Any:  # noqa: ANN401 - as the field's type says
    if kind is bool:
        return text == "true"
    return int(text) if kind is int else text


def _text(value: object) -> str:
    return str(value).lower() if isinstance(value, bool) else str(value)


def is_writable(headers: Headers) -> bool:
    """Tell whether a Kafka client can write these headers again: their keys are UTF-8."""
    return all(key.isascii() or _is_utf8(key) for key, _ in headers)


def _is_utf8(key: str) -> bool:
    try:
        key.encode()
    except UnicodeEncodeError:
        return False
    return True


def encode_headers(headers: Headers) -> str:
    """Give headers as JSON of base64 pairs; a key that is not UTF-8 holds its bytes as surrogate escapes."""
    pairs = [
        [_base64(key.encode("utf-8", "surrogateescape")), None if value is None else _base64(value)]
        for key, value in headers
    ]
    return json.dumps(pairs)


def decode_headers(text: str) -> list[tuple[str, bytes | None]]:
    """Take apart what `encode_headers` gave.

    Raises:
        ValueError: when it gave no such thing; anybody can write headers that look like ours.

    """
    try:
        return [
            (
                base64.b64decode(key, validate=True).decode("utf-8", "surrogateescape"),
                None if value is None else base64.b64decode(value, validate=True),
            )
            for key, value in json.loads(text)
        ]
    except (TypeError, RecursionError):
        msg = "feedback-original-headers is not what this pipeline writes"
        raise ValueError(msg) from None


def _base64(data: bytes) -> str:
    return base64.b64encode(data).decode()
