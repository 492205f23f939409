import hashlib
import json
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st
from support.samples import SECRET, a_record, completed, submitted, withdrawn

from contracts.topics import ENVELOPE_BYTES
from pipeline.letters import prepared
from pipeline.outcomes import Dead
from pipeline.patterns import parse_patterns
from pipeline.ports import DeadLetter
from pipeline.redaction import NO_REDACTION, Redaction

REDACTION = Redaction(patterns=parse_patterns(json.dumps(["(?:s3cret)[a-z-]*"])))


def letter(value: Any, **fields: Any) -> DeadLetter:
    return DeadLetter(a_record(value, **fields), Dead("rejected", "why"))


def document_of(value: Any, redaction: Redaction = REDACTION) -> Any:
    return json.loads(prepared(letter(value), redaction).record.value or b"")


@pytest.mark.parametrize("value", [None, b"", b"\xff{", submitted(rationale=SECRET), b"[" * 999])
def test_as_a_rule_nothing_is_touched(value: Any) -> None:
    before = letter(value, key=b"\xff", headers=[("a", None), ("a", b"\xff")])
    assert prepared(before, NO_REDACTION) is before


@pytest.mark.parametrize("value", [None, b"", submitted(rationale="fine"), b'{ "a" : [ 1.0 ] }'])
def test_what_needs_no_redaction_keeps_its_bytes(value: Any) -> None:
    before = letter(value)
    assert prepared(before, REDACTION) is before


def test_what_people_wrote_goes_and_ids_stay() -> None:
    event = submitted(
        rationale=f"my {SECRET}!",
        value=SECRET,
        metadata={"page": SECRET},
        source={"type": "HUMAN", "id": SECRET, "mood": SECRET},
        feedback_id=SECRET,
        unknown=[{"deep": SECRET}],
    )
    found = document_of(event)
    assert found["assessments"] == [{"name": "helpful", "value": "[redacted]", "rationale": "my [redacted]!"}]
    assert found["metadata"] == {"page": "[redacted]"}
    assert found["source"] == {"type": "HUMAN", "id": SECRET, "mood": "[redacted]"}
    assert found["unknown"] == [{"deep": "[redacted]"}]
    assert found["feedback_id"] == SECRET
    assert found["event_id"] == event["event_id"]


def test_ids_of_the_other_events_stay_too() -> None:
    taken = withdrawn(names=[SECRET, {"name": SECRET, "kind": "expectation"}])
    assert document_of(taken | {"x": SECRET}) == taken | {"x": "[redacted]"}
    chat = completed(user_id=SECRET, session_id=SECRET)
    assert document_of(chat | {"tags": {"a": SECRET}}) == chat | {"tags": {"a": "[redacted]"}}


def test_a_text_where_an_object_belongs_is_no_id() -> None:
    assert document_of(submitted(source=SECRET))["source"] == "[redacted]"
    assert document_of(submitted(assessments=[SECRET]))["assessments"] == ["[redacted]"]


def broken(text: str, field: str) -> str:
    raise ValueError(text, field)


@pytest.mark.parametrize(
    ("value", "redaction"),
    [
        (f'{{"rationale": "{SECRET}'.encode(), REDACTION),
        (b"\xff" + SECRET.encode(), REDACTION),
        (json.dumps(submitted(rationale=SECRET)).replace("true", "1e999").encode(), REDACTION),
        (json.dumps({SECRET: 1}).encode(), REDACTION),
        (json.dumps(submitted(rationale=SECRET)).encode(), Redaction(hook=broken)),
    ],
)
def test_what_cannot_be_redacted_is_withheld_and_told(value: bytes, redaction: Redaction) -> None:
    after = prepared(letter(value), redaction)
    assert after.record.value == b""
    assert after.record.key == b"req-1"
    digest = hashlib.sha256(value).hexdigest()
    assert after.dead.detail == (
        f"why; value withheld, as it cannot be redacted: {len(value)} bytes, sha256 {digest}"
    )


def test_the_hook_hears_the_names_that_it_knows() -> None:
    fields: set[str] = set()

    def hook(text: str, field: str) -> str:
        fields.add(field)
        return text

    prepared(letter(submitted(rationale="a", value={"k": "v"}, metadata={"page": "p"})), Redaction(hook=hook))
    assert {"rationale", "metadata.page", "value.k"} <= fields


def test_what_has_no_room_is_withheld_as_nobody_could_ever_publish_it() -> None:
    after = prepared(letter(b"x" * ENVELOPE_BYTES, headers=[("a", b"1")]), NO_REDACTION)
    assert (after.record.key, after.record.value, after.record.headers) == (b"req-1", b"", [("a", b"1")])
    assert f"it has no room here: {ENVELOPE_BYTES} bytes, sha256 " in after.dead.detail
    after = prepared(letter(b"x", headers=[("a", b"x" * ENVELOPE_BYTES)]), NO_REDACTION)
    assert (after.record.key, after.record.value, after.record.headers) == (b"", b"", ())
    assert after.dead.detail.endswith("; key and headers withheld as well")


@given(
    st.recursive(
        st.none() | st.booleans() | st.integers() | st.text(),
        lambda inner: st.lists(inner) | st.dictionaries(st.text() | st.just("assessments"), inner),
    )
)
def test_no_secret_is_left_in_any_shape(inner: Any) -> None:
    value = json.dumps({"assessments": inner, "x": [inner, {"rationale": SECRET}]}).encode()
    assert SECRET.encode() not in (prepared(letter(value), REDACTION).record.value or b"")
