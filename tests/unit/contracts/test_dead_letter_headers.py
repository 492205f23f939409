import json
from dataclasses import replace

import pytest
from hypothesis import given
from hypothesis import strategies as st

from contracts.headers import (
    ENVELOPE_SIZE,
    DeadLetterHeaders,
    decode_headers,
    encode_headers,
    is_writable,
    split_dead_letter,
)

SAID = DeadLetterHeaders(
    reason="undecodable",
    detail="the value: is empty",
    origin_topic="feedback-submitted",
    origin_partition=3,
    origin_offset=17,
    origin_timestamp=1769860800000,
    null_key=True,
    null_value=False,
    assessments="",
)

# Kafka's own bytes, as clients give a header's key: UTF-8, or surrogate escapes where it is none.
raw_keys = st.binary(max_size=8).map(lambda key: key.decode("utf-8", "surrogateescape"))
ours = st.sampled_from([name for name, _ in SAID.encode()])
headers = st.lists(st.tuples(raw_keys | ours, st.none() | st.binary(max_size=8)), max_size=12)
envelopes = st.builds(
    DeadLetterHeaders,
    reason=st.text(),
    detail=st.text(),
    origin_topic=st.text(),
    origin_partition=st.integers(0, 2**31),
    origin_offset=st.integers(0, 2**63),
    origin_timestamp=st.integers(-1, 2**63),
    null_key=st.booleans(),
    null_value=st.booleans(),
    assessments=st.text(),
)


@given(headers, envelopes)
def test_a_dead_letters_headers_come_apart_as_they_were_put_together(
    original: list[tuple[str, bytes | None]], said: DeadLetterHeaders
) -> None:
    assert split_dead_letter([*original, *said.encode()]) == (original, said)


@given(headers, envelopes)
def test_headers_that_no_client_can_write_again_travel_inside_the_block(
    original: list[tuple[str, bytes | None]], said: DeadLetterHeaders
) -> None:
    packed = replace(said, original_headers=encode_headers(original))
    assert split_dead_letter(packed.encode()) == (original, packed)
    assert is_writable(packed.encode())


@given(headers)
def test_encoded_headers_are_decoded_as_they_were(original: list[tuple[str, bytes | None]]) -> None:
    text = encode_headers(original)
    assert text.isascii()
    assert decode_headers(text) == original


@given(headers)
def test_headers_are_writable_when_their_keys_are_utf8(original: list[tuple[str, bytes | None]]) -> None:
    raw = [key.encode("utf-8", "surrogateescape") for key, _ in original]
    assert is_writable(original) == all(key == key.decode("utf-8", "replace").encode() for key in raw)


def test_a_dead_letter_of_a_dead_letter_gives_back_the_inner_block() -> None:
    inner = [("a", b"1"), *SAID.encode()]
    outer = replace(SAID, reason="unresolved")
    original, said = split_dead_letter([*inner, *outer.encode()])
    assert (original, said) == (inner, outer)
    assert split_dead_letter(original) == ([("a", b"1")], SAID)


def test_the_block_always_has_the_same_names_in_the_same_order() -> None:
    assert [name for name, _ in SAID.encode()] == [
        "feedback-reason",
        "feedback-origin-topic",
        "feedback-origin-partition",
        "feedback-origin-offset",
        "feedback-origin-timestamp",
        "feedback-null-key",
        "feedback-null-value",
        "feedback-assessments",
        "feedback-original-headers",
        "feedback-detail",
    ]
    assert len(SAID.encode()) == ENVELOPE_SIZE


BLOCK = SAID.encode()


@pytest.mark.parametrize(
    "forged",
    [
        [],
        [("feedback-reason", b"undecodable")],
        BLOCK[:-1],
        BLOCK[1:],
        [*BLOCK, ("more", b"")],
        [("feedback-cause", b"undecodable"), *BLOCK[1:]],
        [BLOCK[1], BLOCK[0], *BLOCK[2:]],
        [*BLOCK[:2], ("feedback-origin-partition", b"three"), *BLOCK[3:]],
        [*BLOCK[:2], ("feedback-origin-partition", None), *BLOCK[3:]],
        [("feedback-reason", b"\xff"), *BLOCK[1:]],
        [*BLOCK[:-2], ("feedback-original-headers", b"5"), BLOCK[-1]],
        [*BLOCK[:-2], ("feedback-original-headers", b'[["a"]]'), BLOCK[-1]],
        [*BLOCK[:-2], ("feedback-original-headers", b"[[1, 2]]"), BLOCK[-1]],
        [*BLOCK[:-2], ("feedback-original-headers", b'[["=", null]]'), BLOCK[-1]],
        [*BLOCK[:-2], ("feedback-original-headers", b"not json"), BLOCK[-1]],
        [*BLOCK[:-2], ("feedback-original-headers", b"[" * 100_000), BLOCK[-1]],
    ],
)
def test_headers_that_only_look_like_ours_are_refused(forged: list[tuple[str, bytes | None]]) -> None:
    with pytest.raises(ValueError, match=r"."):
        split_dead_letter(forged)


@given(st.text() | st.recursive(st.none() | st.text() | st.integers(), st.lists).map(json.dumps))
def test_no_forged_original_headers_raise_anything_but_a_value_error(text: str) -> None:
    try:
        decode_headers(text)
    except ValueError:
        return
