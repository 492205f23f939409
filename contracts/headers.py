"""Headers that the pipeline adds to a record that it passes on, in a block of fixed shape.

The block is appended after the record's own headers and always holds the same names in the same
order, so the original headers are everything before it, byte for byte, whatever they are called.
"""

import base64
import json
from collections.abc import Sequence
from dataclasses import asdict, dataclass, fields

Headers = Sequence[tuple[str, bytes | None]]

PREFIX = "feedback-"


@dataclass(frozen=True, slots=True, kw_only=True)
class DeadLetterHeaders:
    """Why a record is a dead letter and where it came from; each field is the header ``feedback-<field>``.

    ``null_key`` and ``null_value`` tell null from empty. ``original_headers`` is set only where a
    header's key is not UTF-8, which Kafka's clients cannot write again: JSON of base64 pairs.
    """

    reason: str
    detail: str
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
        return [
            (PREFIX + name.replace("_", "-"), _text(value).encode()) for name, value in asdict(self).items()
        ]


ENVELOPE_SIZE = len(fields(DeadLetterHeaders))


def split_dead_letter(headers: Headers) -> tuple[list[tuple[str, bytes | None]], DeadLetterHeaders]:
    """Take a dead letter's headers apart: the original ones and what the pipeline said of it.

    Raises:
        ValueError: when the block is not there, so the record is not one of our dead letters.

    """
    original, block = list(headers[:-ENVELOPE_SIZE]), headers[-ENVELOPE_SIZE:]
    names = [PREFIX + field.name.replace("_", "-") for field in fields(DeadLetterHeaders)]
    if [name for name, _ in block] != names:
        msg = "not a dead letter of this pipeline: its last headers are not the feedback-… block"
        raise ValueError(msg)
    said = _decode([(value or b"").decode() for _, value in block])
    return (decode_headers(said.original_headers) if said.original_headers else original), said


def _decode(texts: list[str]) -> DeadLetterHeaders:
    reason, detail, topic, partition, offset, timestamp, null_key, null_value, assessments, headers = texts
    return DeadLetterHeaders(
        reason=reason,
        detail=detail,
        origin_topic=topic,
        origin_partition=int(partition),
        origin_offset=int(offset),
        origin_timestamp=int(timestamp),
        null_key=null_key == "true",
        null_value=null_value == "true",
        assessments=assessments,
        original_headers=headers,
    )


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
