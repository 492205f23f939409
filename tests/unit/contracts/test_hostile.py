"""Records of one megabyte that are made to be slow or to get through: refused at once, nothing quoted."""

import json
import time
from collections.abc import Callable
from datetime import UTC, datetime

import pytest
from hypothesis import given
from hypothesis import strategies as st
from support.contract_samples import FEEDBACK, SECRET, Json, assessed, chat, feedback, withdrawal

from contracts import limits
from contracts.parse import ALL_EVENTS, ContractError, decode_document, parse_event
from contracts.topics import EVENT_BYTES
from pipeline.records import Record

NOW = datetime(2026, 1, 31, 12, 0, tzinfo=UTC)
HOLE = "the hole"
SIZE = 1_000_000
SECONDS = 0.25
"""Of the processor, five times what the slowest takes on one core of 2026."""


def filled(document: Json, text: str) -> bytes:
    """Give the document with raw JSON in place of its hole."""
    return json.dumps(document).replace(json.dumps(HOLE), text).encode()


def items(text: str, *, last: str = "0") -> str:
    return "[" + f"{text}," * (SIZE // (len(text) + 1) - 100) + last + "]"


def entries(value: str = '""') -> str:
    return "{" + ",".join(f'"{number:05}":{value}' for number in range(SIZE // 11 - 100)) + "}"


EXPECTED = assessed(kind="expectation", value=HOLE, rationale=None)
MANY: dict[str, tuple[Callable[[], bytes], str]] = {
    "items": (lambda: filled(assessed(value=HOLE), items("0")), "0.value: has at least"),
    "items of an expectation": (lambda: filled(EXPECTED, items("0")), "0.value: has at least"),
    "empty objects": (lambda: filled(EXPECTED, items("{}")), "0.value: has at least"),
    "lists of lists": (
        lambda: filled(EXPECTED, items("[" + ",".join(["0"] * 900) + "]")),
        "0.value: has at least",
    ),
    "keys of a value": (lambda: filled(assessed(value=HOLE), entries("1")), "0.value: has at least"),
    "keys of metadata": (lambda: filled(feedback(metadata=HOLE), entries()), "metadata: has at least"),
    "keys of tags": (lambda: filled(chat(tags=HOLE), entries()), "tags: has at least"),
    "names": (lambda: filled(withdrawal(names=HOLE), items('"a"', last='"b"')), "the limit is 32"),
    "assessments": (lambda: filled(feedback(assessments=HOLE), items("{}")), "the limit is 32"),
    "NUL behind items": (lambda: filled(feedback(u=HOLE), items("0", last='"\\u0000"')), "u: holds a NUL"),
    "NUL behind keys": (
        lambda: filled(feedback(u=HOLE), entries()[:-1] + ',"z":"\\u0000"}'),
        "u: holds a NUL",
    ),
    "NUL deep down": (
        lambda: filled(feedback(u=HOLE), "[" * 150 + '"\\u0000"' + "]" * 150),
        "u.0.0.0.0.0.0.0.…: holds a NUL",
    ),
    "escaped backslashes": (
        lambda: filled(feedback(u=HOLE), items('"\\\\u0000"', last="NaN")),
        "is not JSON",
    ),
    "digits": (lambda: filled(assessed(value=HOLE), "9" * SIZE), "is not JSON"),
    "many digits": (lambda: filled(assessed(value=HOLE), "9" * 4000), "an integer beyond 2^53"),
    "a huge exponent": (lambda: filled(assessed(value=HOLE), "1e400"), "NaN or infinity"),
    "a huge exponent in a list": (lambda: filled(assessed(value=[HOLE]), "-1e400"), "NaN or infinity"),
    "a long exponent": (lambda: filled(assessed(value=HOLE), "1e" + "9" * SIZE), "NaN or infinity"),
    "surrogate pairs": (
        lambda: filled(assessed(rationale=HOLE), '"' + "\\ud83d\\ude00" * 80_000 + '"'),
        "rationale: has 320000 bytes",
    ),
    "a lone surrogate": (lambda: filled(assessed(value=[HOLE]), '"\\ud83d"'), "is not JSON"),
    "a long id": (lambda: filled(feedback(event_id=HOLE), '"' + "1" * SIZE + '"'), "event_id: is not a UUID"),
    "a long type": (lambda: filled(feedback(type=HOLE), '"' + "x" * SIZE + '"'), "type: is not the name"),
    "a key of spaces": (lambda: b"{" + b" " * SIZE, "is not JSON"),
    "an open list": (lambda: b"[" * SIZE, "is not JSON"),
    "open objects": (lambda: b'{"a":' * (SIZE // 5), "is not JSON"),
    "too much": (lambda: b" " * EVENT_BYTES + json.dumps(FEEDBACK).encode(), "the limit is 1048576"),
}


@pytest.mark.parametrize("name", MANY)
def test_it_is_refused_at_once(name: str) -> None:
    make, said = MANY[name]
    value = make()
    began = time.process_time()
    with pytest.raises(ContractError) as caught:
        parse_event(value, ALL_EVENTS, recorded_at=NOW)
    assert time.process_time() - began < SECONDS
    text = str(caught.value)
    assert said in text
    assert SECRET not in text
    assert len(text) < 1000


def test_a_full_record_of_long_lists_passes_at_once() -> None:
    said = [{"name": f"n{number}", "value": [1.5, "a", True, 7] * 1500} for number in range(32)]
    value = json.dumps(feedback(assessments=said, metadata=None)).encode()
    began = time.process_time()
    parse_event(value, ALL_EVENTS, recorded_at=NOW)
    assert time.process_time() - began < 2 * SECONDS


@pytest.mark.parametrize("encoding", ["utf-16", "utf-16-le", "utf-16-be", "utf-32", "utf-8-sig"])
def test_another_encoding_is_named(encoding: str) -> None:
    with pytest.raises(ContractError, match="encode it as UTF-8 without one"):
        decode_document(json.dumps(FEEDBACK).encode(encoding))


@pytest.mark.parametrize("timestamp", [2**63 - 1, 2**62, -(2**62), 10**15])
def test_no_time_of_a_record_raises(timestamp: int) -> None:
    record = Record("topic", 0, 0, timestamp, None, json.dumps(FEEDBACK).encode())
    assert limits.FIRST_YEAR <= record.recorded_at.year <= limits.LAST_YEAR


LETTERS = "§ßµ¶"  # that no message of ours has
secrets = st.text(LETTERS, min_size=1, max_size=9)
hidden = st.recursive(
    secrets | st.none() | st.integers(),
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(secrets, inner, max_size=3),
    max_leaves=8,
)
places = st.sampled_from(sorted({*FEEDBACK, "feedback_id", "trace_id", "span_id", "names", "value", "name"}))


def said_of(value: bytes) -> str:
    """Give what is said of a record, nothing where it passes."""
    try:
        parse_event(value, ALL_EVENTS, recorded_at=NOW)
    except ContractError as error:
        return str(error)
    return ""


@given(st.dictionaries(places, hidden, min_size=1), st.booleans())
def test_no_message_quotes_what_stands_anywhere(changes: Json, inside: bool) -> None:  # noqa: FBT001 - drawn
    document = assessed(**changes) if inside else feedback(**changes)
    assert not set(LETTERS) & set(said_of(json.dumps(document).encode()))


@given(st.integers(1, len(json.dumps(FEEDBACK)) - 1))
def test_a_torn_record_is_refused(end: int) -> None:
    said = said_of(json.dumps(FEEDBACK).encode()[:end])
    assert said.startswith("the value: is not JSON")
    assert SECRET not in said
