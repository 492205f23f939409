"""What a value may be, and what any string may hold, checked without ever quoting the content."""

import json
import math
from collections.abc import Iterator
from typing import Any, Literal

from contracts import limits

Kind = Literal["feedback", "expectation"]
Scalar = bool | int | float | str


def check_value(value: object, kind: Kind) -> None:
    """Refuse a value that MLflow would not take or would silently change.

    A feedback's value is a bool, number, string, or a flat list or dict of those; an expectation may
    nest up to `limits.NESTING` levels and hold nulls inside.

    Raises:
        ValueError: naming the limit and the mend, never the value.

    """
    if value is None:
        msg = "is null; send a bool, number, string, list or dict, or withdraw the feedback"
        raise ValueError(msg)
    _check_shape(value, nested=kind == "expectation", depth=0)
    size = len(json.dumps(value, ensure_ascii=False, separators=(",", ":")).encode())
    if size > limits.VALUE_BYTES:
        msg = f"has {size} bytes as JSON; the limit is {limits.VALUE_BYTES}"
        raise ValueError(msg)


def _check_shape(value: object, *, nested: bool, depth: int) -> None:
    if isinstance(value, list | dict):
        _check_depth(nested=nested, depth=depth)
        if isinstance(value, dict):
            _check_keys(value)
        for part in value.values() if isinstance(value, dict) else value:
            _check_shape(part, nested=nested, depth=depth + 1)
    elif isinstance(value, str):
        check_text(value)
    elif isinstance(value, float) and not math.isfinite(value):
        msg = "holds NaN or infinity, which JSON and MLflow cannot store; leave it out or send a string"
        raise ValueError(msg)
    elif isinstance(value, int) and not isinstance(value, bool) and abs(value) > limits.INTEGER:
        msg = "holds an integer beyond 2^53, which MLflow would round; send it as a string"
        raise ValueError(msg)
    elif value is None and depth and not nested:
        msg = "holds null inside; a feedback's list or dict takes bools, numbers and strings"
        raise ValueError(msg)
    elif not isinstance(value, bool | int | float | str | None):
        msg = f"is of type {type(value).__name__}; send a bool, number, string, list or dict"
        raise ValueError(msg)


def _check_depth(*, nested: bool, depth: int) -> None:
    if depth and not nested:
        msg = "is nested; a feedback takes a flat list or dict, only an expectation may nest"
        raise ValueError(msg)
    if depth >= limits.NESTING:
        msg = f"nests deeper than {limits.NESTING} levels"
        raise ValueError(msg)


def _check_keys(value: dict[Any, object]) -> None:
    for key in value:
        if not isinstance(key, str):
            msg = f"has a key of type {type(key).__name__}; keys are strings"
            raise ValueError(msg)  # noqa: TRY004 - pydantic turns only ValueError into its own error
        check_text(key)


def check_text(text: str) -> None:
    """Refuse a lone surrogate, which no encoding can write.

    Raises:
        ValueError: without the text.

    """
    try:
        text.encode()
    except UnicodeEncodeError:
        msg = "holds a lone surrogate, which is not valid Unicode"
        raise ValueError(msg) from None


def find_nul(document: object, path: tuple[str, ...] = ()) -> tuple[str, ...] | None:
    """Give the path to the first string that holds a NUL, which Postgres cannot store, or None."""
    if isinstance(document, str):
        return path if "\x00" in document else None
    for name, part in _parts(document):
        if (found := find_nul(part, (*path, name))) is not None:
            return found
    return None


def _parts(document: object) -> Iterator[tuple[str, Any]]:
    if isinstance(document, dict):
        for key, value in document.items():
            text = str(key)
            yield ("a key", text) if "\x00" in text else (text, value)
    elif isinstance(document, list):
        for index, value in enumerate(document):
            yield str(index), value
