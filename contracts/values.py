"""What a value may be, and what any string may hold, checked without ever quoting the content."""

import json
import math
from collections.abc import Collection, Iterator
from typing import Any, Final, Literal

from contracts import limits

Kind = Literal["feedback", "expectation"]
Scalar = bool | int | float | str

_SHORT: Final = limits.VALUE_BYTES // 6 - 2
"""Characters that are below the limit however they are escaped: six bytes each, and two quotes."""

_LIST_ITEM: Final = 2
"""Bytes of the smallest item of a list, with its comma."""
_DICT_ITEM: Final = 5
"""Bytes of the smallest item of an object: an empty key, its quotes, a colon, a digit, a comma."""
_NUL: Final = b"\\u0000"
_SEARCHED: Final = 5000
"""How many parts of a document are looked at to say where a NUL is."""


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
    if isinstance(value, bool | int) or (isinstance(value, str) and len(value) < _SHORT):
        _check_shape(value, nested=False, depth=0)
        return
    if (size := _least_size(value)) > limits.VALUE_BYTES:
        msg = f"has at least {size} bytes as JSON; the limit is {limits.VALUE_BYTES}"
        raise ValueError(msg)
    _check_shape(value, nested=kind == "expectation", depth=0)
    size = len(json.dumps(value, ensure_ascii=False, separators=(",", ":")).encode())
    if size > limits.VALUE_BYTES:
        msg = f"has {size} bytes as JSON; the limit is {limits.VALUE_BYTES}"
        raise ValueError(msg)


def _least_size(value: object) -> int:
    """Count what a value's items take at least as JSON, until that is more than the limit.

    A record can hold half a million items: they are not looked at one by one before this.
    """
    size = 0
    rest = [(value, 0)]
    while rest and size <= limits.VALUE_BYTES:
        part, depth = rest.pop()
        if isinstance(part, list | dict) and depth < limits.NESTING:
            size += (_LIST_ITEM if isinstance(part, list) else _DICT_ITEM) * len(part)
            if size <= limits.VALUE_BYTES:
                rest += [(inner, depth + 1) for inner in _items(part) if isinstance(inner, list | dict)]
    return size


def _items(value: list[Any] | dict[Any, Any]) -> Collection[Any]:
    return value.values() if isinstance(value, dict) else value


def _check_shape(value: object, *, nested: bool, depth: int) -> None:
    if isinstance(value, list | dict):
        _check_depth(nested=nested, depth=depth)
        if isinstance(value, dict):
            _check_keys(value)
        if not _are_plain(_items(value)):
            for part in _items(value):
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


def _are_plain(parts: Collection[object]) -> bool:
    """Tell quickly whether all are scalars that MLflow takes; if not, each is looked at to say why."""
    kinds = set(map(type, parts))
    if not kinds <= {bool, int, float, str}:
        return False
    floats = [part for part in parts if type(part) is float] if float in kinds else []
    integers = [part for part in parts if type(part) is int] if int in kinds else [0]
    return (
        all(map(math.isfinite, floats))
        and min(integers) >= -limits.INTEGER
        and max(integers) <= limits.INTEGER
        and (str not in kinds or _is_text("".join(part for part in parts if isinstance(part, str))))
    )


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
    check_text("".join(value))


def check_text(text: str) -> None:
    """Refuse a lone surrogate, which no encoding can write.

    Raises:
        ValueError: without the text.

    """
    if not _is_text(text):
        msg = "holds a lone surrogate, which is not valid Unicode"
        raise ValueError(msg)


def _is_text(text: str) -> bool:
    try:
        text.encode()
    except UnicodeEncodeError:
        return False
    return True


def has_nul(value: bytes) -> bool:
    """Tell whether a JSON document holds a NUL in a string or key, where it can only stand escaped."""
    *before, _ = value.split(_NUL)
    # An even number of backslashes before it, else it is an escaped backslash and the text u0000.
    return any((len(text) - len(text.rstrip(b"\\"))) % 2 == 0 for text in before)


def find_nul(document: object) -> tuple[str, ...]:
    """Give the path to a string that holds a NUL; only so far, when too much lies before it."""
    rest: list[tuple[tuple[str, ...], object]] = [((), document)]
    for _ in range(_SEARCHED):
        if not rest:
            break
        path, part = rest.pop()
        if isinstance(part, str) and "\x00" in part:
            return path
        if isinstance(part, list | dict):
            if len(rest) + len(part) > _SEARCHED:
                return path
            rest += [((*path, name), inner) for name, inner in _parts(part)]
    return ()


def _parts(document: list[Any] | dict[Any, Any]) -> Iterator[tuple[str, Any]]:
    if isinstance(document, list):
        yield from ((str(index), value) for index, value in enumerate(document))
        return
    for key, value in document.items():
        text = str(key)
        yield ("a key", text) if "\x00" in text else (text, value)
