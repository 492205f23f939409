import json
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st
from support.pipeline import World
from support.samples import SECRET, a_record, completed, records_of, submitted, withdrawn

from contracts import limits
from contracts.topics import ENVELOPE_BYTES
from pipeline.decode import decode
from pipeline.outcomes import Dead
from pipeline.patterns import parse_patterns
from pipeline.redaction import Hook, Part, Redaction
from pipeline.versions import Version

SECRETS = parse_patterns(json.dumps(["(?:s3cret)[a-z-]*", "email"]))
ALL: frozenset[Part] = frozenset({"rationale", "metadata", "value"})


def version(redaction: Redaction, **fields: Any) -> Version:
    decoded, letters = decode([a_record(submitted(**fields))], redaction)
    assert letters == []
    return decoded[0].versions[0]


def dead(hook: Any, **fields: Any) -> tuple[str, str]:
    """Give reason and detail of the one dead letter."""
    decoded, letters = decode([a_record(submitted(**fields))], Redaction(hook=hook))
    assert decoded == []
    return letters[0].dead.reason, letters[0].dead.detail


def test_rationale_and_metadata_are_redacted_and_the_value_is_not() -> None:
    found = version(
        Redaction(patterns=SECRETS),
        rationale=f"I said {SECRET} to a@b.example",
        metadata={"page": "3", "note": SECRET},
        value=SECRET,
    )
    assert found.rationale == "I said [redacted] to [redacted:email]"
    assert found.metadata == {"page": "3", "note": "[redacted]"}
    assert found.value == SECRET


@pytest.mark.parametrize(
    ("value", "expected"),
    [
        (SECRET, "[redacted]"),
        ([1, SECRET, True], [1, "[redacted]", True]),
        ({"a": SECRET, SECRET: 0.5}, {"a": "[redacted]", SECRET: 0.5}),
        (7, 7),
    ],
)
def test_a_value_is_redacted_where_it_is_asked_for(value: object, expected: object) -> None:
    assert version(Redaction(patterns=SECRETS, parts=ALL), value=value).value == expected


def test_an_expectation_s_value_is_redacted_in_its_depth() -> None:
    said = [{"name": "answer", "kind": "expectation", "value": {"a": [{"b": SECRET}, None]}}]
    found = version(Redaction(patterns=SECRETS, parts=ALL), assessments=said)
    assert found.value == {"a": [{"b": "[redacted]"}, None]}


def test_without_settings_nothing_is_touched() -> None:
    assert version(Redaction(), rationale=SECRET).rationale == SECRET


@given(st.text(st.characters(exclude_categories=["Cs"], exclude_characters="\x00"), max_size=50))
def test_identity_order_and_reference_stay(text: str) -> None:
    document = submitted(
        rationale=text, metadata={"a": text}, value=text, source={"type": "HUMAN", "id": "a@b.example"}
    )
    everything = Redaction(hook=lambda _text, _field: "x", parts=ALL)
    ((before,), _), ((after,), _) = (decode([a_record(document)], how) for how in (Redaction(), everything))
    (was,), (now,) = before.versions, after.versions
    assert (now.feedback_id, now.order, now.assessment_id) == (was.feedback_id, was.order, was.assessment_id)
    assert (now.source_id, now.name, now.reference) == ("a@b.example", "helpful", "req-1")
    assert (now.rationale, now.value, now.metadata) == ("x", "x", {"a": "x"})


def test_the_hook_is_told_the_field_and_the_patterns_hold_on_what_it_gives() -> None:
    fields: list[str] = []

    def hook(text: str, field: str) -> str:
        fields.append(field)
        return text.replace("mild", SECRET)

    redaction = Redaction(patterns=SECRETS, hook=hook, parts=ALL)
    found = version(redaction, rationale="mild", metadata={"page": "p"}, value=["v"])
    assert found.rationale == "[redacted]"
    assert sorted(fields) == ["metadata.page", "rationale", "value"]


def broken(text: str, field: str) -> str:
    raise ValueError(text, field)


def not_a_text(text: str, field: str) -> Any:
    return text.encode() + field.encode()


@pytest.mark.parametrize(
    ("hook", "said"),
    [
        (broken, "rationale: the redaction hook raised ValueError at "),
        (not_a_text, "rationale: the redaction hook gave bytes, not str"),
        (lambda text, _field: text + "\x00", "rationale: what the redaction hook gave holds a NUL character"),
        (lambda _text, _field: "\ud800", "rationale: what the redaction hook gave holds a lone surrogate"),
    ],
)
def test_what_the_hook_fails_on_is_a_dead_letter_that_quotes_nothing(hook: Hook, said: str) -> None:
    reason, detail = dead(hook, rationale=SECRET * 400)
    assert reason == "unredacted"
    assert said in detail
    assert SECRET not in detail


def test_the_detail_shows_no_odd_key_of_metadata() -> None:
    assert dead(broken, metadata={SECRET + " said": "x"})[1].startswith("metadata.(a key): ")


async def test_nothing_of_it_is_stored_and_its_neighbours_are_logged() -> None:
    world = World()
    world.knows()
    bad = submitted(rationale=SECRET, source={"type": "HUMAN", "id": "bad"})

    def hook(text: str, _field: str) -> str:
        return broken(text, "") if text == SECRET else text

    pipeline = world.consumer(redaction=Redaction(hook=hook))
    records = records_of([submitted(rationale="fine"), bad, withdrawn(source=bad["source"])])
    await pipeline.run(records)
    assert [write.version.rationale for write in world.held.values()] == ["fine"]
    assert world.dead() == [records[1]]
    assert world.metrics.outcomes == [("logged", ""), ("withdrawn", ""), ("dead-lettered", "unredacted")]
    assert all(SECRET not in standing.version.to_json() for standing in world.feedback.rows.values())


async def test_a_redriven_one_is_logged_once_the_hook_is_mended() -> None:
    world = World()
    world.knows()
    records = records_of([submitted(rationale=SECRET)])
    await world.consumer(redaction=Redaction(hook=broken)).run(records)
    await world.consumer(redaction=Redaction(patterns=SECRETS)).run(records)
    assert [write.version.rationale for write in world.held.values()] == ["[redacted]"]


def test_many_short_texts_that_became_longer_lose_all_of_themselves() -> None:
    (pattern,) = parse_patterns('["(?:x)"]')
    rationale = "x" * limits.RATIONALE_BYTES
    assert version(Redaction(patterns=(pattern,)), rationale=rationale).rationale == "[redacted]"


def test_what_has_no_room_even_so_is_a_dead_letter() -> None:
    (pattern,) = parse_patterns('["(?:x)"]')
    redaction = Redaction(patterns=(pattern,), parts=ALL)
    decoded, letters = decode([a_record(submitted(value=["x"] * 10_000))], redaction)
    assert decoded == []
    assert letters[0].dead == Dead("unredacted", "value: has more than 61440 bytes after redaction")


def test_a_record_that_could_be_written_nowhere_is_a_dead_letter() -> None:
    """Its value alone is fine; parked with such headers, it would stop its partition."""
    record = a_record(submitted(), headers=[("large", b"x" * ENVELOPE_BYTES)])
    decoded, letters = decode([record])
    assert decoded == []
    assert letters[0].dead.detail.startswith("the record: has 27")


def test_a_chat_event_and_a_withdrawal_pass_as_they_are() -> None:
    decoded, letters = decode(records_of([withdrawn(), completed()]), Redaction(hook=broken))
    assert [item.versions[0].op for item in decoded] == ["withdraw"]
    assert [letter.dead.reason for letter in letters] == ["undecodable"]
