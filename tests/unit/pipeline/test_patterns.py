"""What the names find, what is refused as a pattern, and that nothing can make a search backtrack."""

import json
import time

import pytest
from hypothesis import given
from hypothesis import strategies as st

from pipeline.patterns import KINDS, parse_patterns

ALL = parse_patterns(json.dumps(KINDS))


def redacted(text: str) -> str:
    for pattern in ALL:
        text = pattern.redact(text)
    return text


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ("mail anna.b+x@mail.example.co.uk.", "mail [redacted:email]."),
        ("<grüße@bücher.example>!", "<[redacted:email]>!"),
        ("call +49 (0)30 123-4567 now", "call [redacted:phone] now"),
        ("030 1234567, 0176/12345678, 017612345678", "[redacted:phone], [redacted:phone], [redacted:phone]"),
        ("(555) 123-4567 or 555-123-4567", "[redacted:phone] or [redacted:phone]"),
        ("0049 171 1234567", "[redacted:phone]"),
        ("4111 1111 1111 1111 and 4111111111111111", "[redacted:card] and [redacted:card]"),
        ("1234 4111 1111 1111 1111", "[redacted:card]"),
        ("from 10.0.0.255:80", "from [redacted:ip]:80"),
        ("fe80::1ff:fe23:4567:890a and ::1", "[redacted:ip] and [redacted:ip]"),
        ("2001:0db8:85a3:0000:0000:8a2e:0370:7334", "[redacted:ip]"),
    ],
)
def test_what_the_names_find(text: str, expected: str) -> None:
    assert redacted(text) == expected


@pytest.mark.parametrize(
    "text",
    [
        "",
        "at 12:30:45 on 2026-01-31, 2026-01-31T12:00:00+02:00",
        "order 123456 gives 5 of 10",
        "std::vector, v1.2.3, 999.1.1.1",
        "@anna says: 100 % @ home",
        "\x00 ä 🎉 \\d $1",
    ],
)
def test_what_they_leave(text: str) -> None:
    assert redacted(text) == text


def test_a_pattern_of_one_s_own_leaves_the_plain_mark() -> None:
    (pattern,) = parse_patterns(r'["(?i)\\bkd-\\d{6}\\b"]')
    assert pattern.redact("ä KD-123456, kd-12345") == "ä [redacted], kd-12345"


def test_an_empty_match_changes_nothing() -> None:
    (pattern,) = parse_patterns(r'["\\b"]')
    assert pattern.redact("a b") == "a b"


@pytest.mark.parametrize(
    ("text", "said"),
    [
        ("email", "must be a JSON list"),
        ('{"email": 1}', "must be a JSON list"),
        ("[1]", "must be a JSON list"),
        ("[" * 100_000, "must be a JSON list"),
        ('["email", "e-mail"]', "item 1 (e-mail) is none of the names email, phone, card, ip"),
        ('["("]', "item 0 is no regular expression of RE2: missing )"),
        ('["(?=a)b"]', "item 0 is no regular expression of RE2: invalid perl operator"),
        (r'["(a)\\1"]', "invalid escape sequence"),
        ('["x*"]', "item 0 matches where there is nothing"),
        ('["((a{1000}){1000})"]', "invalid repetition size"),
    ],
)
def test_a_wrong_item_is_named(text: str, said: str, capfd: pytest.CaptureFixture[str]) -> None:
    with pytest.raises(ValueError, match=r"item|list") as caught:
        parse_patterns(text)
    assert said in str(caught.value)
    assert capfd.readouterr().err == ""


@pytest.mark.parametrize("pattern", ["(a+)+$", "(a|aa)+!", "(.*a){20}!", "(x+x+)+y"])
def test_what_hangs_an_engine_that_backtracks_takes_no_time(pattern: str) -> None:
    (compiled,) = parse_patterns(json.dumps([pattern]))
    began = time.process_time()
    compiled.redact("a" * 16_000 + "x" * 16_000 + "\n")
    assert time.process_time() - began < 2


@given(st.text(st.characters(exclude_categories=["Cs"])))
def test_no_text_raises_and_once_is_enough(text: str) -> None:
    once = redacted(text)
    assert redacted(once) == once
