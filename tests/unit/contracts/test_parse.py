import json
import time
from datetime import UTC, datetime, timedelta
from typing import Any
from uuid import UUID

import pytest
from hypothesis import given
from hypothesis import strategies as st
from support.contract_samples import (
    CHAT,
    FEEDBACK,
    SECRET,
    WITHDRAWAL,
    Json,
    assessed,
    chat,
    feedback,
    withdrawal,
    without,
)

from contracts import ChatCompleted, FeedbackSubmitted, FeedbackWithdrawn
from contracts.parse import (
    ALL_EVENTS,
    CHAT_EVENTS,
    FEEDBACK_EVENTS,
    ContractError,
    decode_document,
    parse_event,
    validate_document,
)

NOW = datetime(2026, 1, 31, 12, 0, tzinfo=UTC)
TRACE = "4bf92f3577b34da6a3ce929d0e0e4736"


def parse(document: object) -> Any:
    return parse_event(json.dumps(document).encode(), ALL_EVENTS, recorded_at=NOW)


def refusal(value: bytes | None) -> str:
    with pytest.raises(ContractError) as caught:
        parse_event(value, ALL_EVENTS, recorded_at=NOW)
    said = str(caught.value)
    assert SECRET not in said
    assert said.startswith(caught.value.problems[0].field)
    return said


def nested(levels: int) -> object:
    value: object = 1
    for _ in range(levels):
        value = [value]
    return value


REFUSED: list[tuple[Json, str]] = [
    # no reference, and references that MLflow could not hold
    (
        without(FEEDBACK, "client_request_id"),
        "the event: no reference: client_request_id or trace_id is needed",
    ),
    (
        feedback(client_request_id=None),
        "the event: no reference: client_request_id or trace_id is needed to find the trace",
    ),
    (without(CHAT, "client_request_id"), "client_request_id: is missing"),
    (feedback(client_request_id="x" * 51), "client_request_id: has 51 characters; the limit is 50"),
    (chat(client_request_id="x" * 51), "client_request_id: has 51 characters; the limit is 50"),
    (withdrawal(client_request_id="x" * 51), "client_request_id: has 51 characters; the limit is 50"),
    (feedback(client_request_id=""), "client_request_id: must be letters, digits and -_.:/=+@ only"),
    (feedback(client_request_id="größe"), "client_request_id: must be letters, digits and -_.:/=+@ only"),
    (feedback(client_request_id="١٢٣"), "client_request_id: must be letters, digits and -_.:/=+@ only"),
    (feedback(client_request_id="req-1\n"), "client_request_id: must be letters, digits and -_.:/=+@ only"),
    (feedback(client_request_id="a b"), "client_request_id: must be letters, digits and -_.:/=+@ only"),
    (feedback(client_request_id="a' OR 1=1"), "client_request_id: must be letters, digits and -_.:/=+@ only"),
    (feedback(client_request_id='a"b'), "client_request_id: must be letters, digits and -_.:/=+@ only"),
    (feedback(client_request_id="a\\b"), "client_request_id: must be letters, digits and -_.:/=+@ only"),
    (feedback(client_request_id="a';DROP"), "client_request_id: must be letters, digits and -_.:/=+@ only"),
    (feedback(client_request_id="a`b"), "client_request_id: must be letters, digits and -_.:/=+@ only"),
    (feedback(client_request_id="a%b"), "client_request_id: must be letters, digits and -_.:/=+@ only"),
    (feedback(client_request_id=7), "client_request_id: must be a string"),
    (
        feedback(trace_id="4bf9"),
        "trace_id: is neither an MLflow trace id (tr-…, up to 50 characters) nor 32 hex",
    ),
    (feedback(trace_id="tr-"), "trace_id: is neither an MLflow trace id"),
    (feedback(trace_id="tr-a'b"), "trace_id: is neither an MLflow trace id"),
    (feedback(trace_id=f"tr-{TRACE}\n"), "trace_id: is neither an MLflow trace id"),
    (feedback(trace_id=f"{TRACE}\n"), "trace_id: is neither an MLflow trace id"),
    (feedback(trace_id="tr-" + "a" * 48), "trace_id: is neither an MLflow trace id"),
    (feedback(trace_id=TRACE + "0"), "trace_id: is neither an MLflow trace id"),
    (chat(trace_id=1), "trace_id: must be a string"),
    (feedback(span_id="a b"), "span_id: must be 1 to 50 letters, digits, - and _"),
    (feedback(span_id="a" * 51), "span_id: must be 1 to 50 letters, digits, - and _"),
    # names and ids
    (assessed(name="n" * 251), "assessments.0.name: has more than 250 characters, the limit"),
    (assessed(name=""), "assessments.0.name: is empty"),
    (assessed(name=None), "assessments.0.name: must be a string"),
    (withdrawal(names=["n" * 251]), "names.0.name: has more than 250 characters, the limit"),
    (withdrawal(names=[""]), "names.0.name: is empty"),
    (
        feedback(source={"type": "HUMAN", "id": "x" * 251}),
        "source.id: has more than 250 characters, the limit",
    ),
    (feedback(feedback_id="x" * 251), "feedback_id: has more than 250 characters, the limit"),
    (feedback(feedback_id=""), "feedback_id: is empty"),
    (chat(session_id="x" * 251), "session_id: has more than 250 characters, the limit"),
    (chat(user_id="x" * 251), "user_id: has more than 250 characters, the limit"),
    (chat(environment="x" * 251), "environment: has more than 250 characters, the limit"),
    (chat(app_version="x" * 251), "app_version: has more than 250 characters, the limit"),
    (chat(deployment_id="x" * 251), "deployment_id: has more than 250 characters, the limit"),
    (chat(region="x" * 251), "region: has more than 250 characters, the limit"),
    # sources
    (feedback(source={"type": "ROBOT"}), "source.type: must be one of 'HUMAN', 'LLM_JUDGE' or 'CODE'"),
    (feedback(source={"type": SECRET}), "source.type: must be one of 'HUMAN', 'LLM_JUDGE' or 'CODE'"),
    (feedback(source={"type": "human"}), "source.type: must be one of 'HUMAN', 'LLM_JUDGE' or 'CODE'"),
    (feedback(source={}), "source.type: is missing"),
    (feedback(source=SECRET), "source: must be an object"),
    (without(FEEDBACK, "source"), "source: is missing"),
    (
        withdrawal(source={"type": "HUMAN"}),
        "the event: source.id or feedback_id is needed to say whose feedback is withdrawn",
    ),
    # assessments
    (feedback(assessments=[]), "assessments: needs at least 1 item"),
    (withdrawal(names=[]), "names: needs at least 1 item"),
    (
        feedback(assessments=[{"name": f"n{i}", "value": 1} for i in range(33)]),
        "assessments: has 33 items; the limit is 32",
    ),
    (withdrawal(names=[f"n{i}" for i in range(33)]), "names: has 33 items; the limit is 32"),
    (
        feedback(assessments=[{"name": "a", "value": SECRET}] * 2),
        "the event: assessments holds one name and kind twice",
    ),
    (withdrawal(names=["a", {"name": "a"}]), "the event: names holds one name and kind twice"),
    (without(FEEDBACK, "assessments"), "assessments: is missing"),
    (feedback(assessments=SECRET), "assessments: must be a list"),
    (feedback(assessments={"name": "a", "value": SECRET}), "assessments: must be a list"),
    (feedback(assessments=[SECRET]), "assessments.0: must be an object"),
    (assessed(kind=SECRET), "assessments.0.kind: must be one of 'feedback' or 'expectation'"),
    (
        withdrawal(names=[{"name": "a", "kind": "x"}]),
        "names.0.kind: must be one of 'feedback' or 'expectation'",
    ),
    # values
    (feedback(assessments=[{"name": "a"}]), "assessments.0.value: is missing"),
    (assessed(value=None), "assessments.0.value: is null"),
    (assessed(value=float("nan")), "is not JSON"),
    (assessed(value=float("inf")), "is not JSON"),
    (assessed(value=2**53 + 1), "assessments.0.value: holds an integer beyond 2^53"),
    (assessed(value=-(2**53) - 1), "assessments.0.value: holds an integer beyond 2^53"),
    (assessed(value=[1, 2**53 + 1]), "assessments.0.value: holds an integer beyond 2^53"),
    (assessed(value="x" * 61_439), "assessments.0.value: has 61441 bytes as JSON; the limit is 61440"),
    (assessed(value="ä" * 30_720), "assessments.0.value: has 61442 bytes as JSON; the limit is 61440"),
    (assessed(value=[[SECRET]]), "assessments.0.value: is nested; a feedback takes a flat list or dict"),
    (assessed(value={"a": {}}), "assessments.0.value: is nested; a feedback takes a flat list or dict"),
    (assessed(value=[SECRET, None]), "assessments.0.value: holds null inside"),
    (
        feedback(assessments=[{"name": "a", "kind": "expectation", "value": nested(33)}]),
        "assessments.0.value: nests deeper than 32 levels",
    ),
    (
        assessed(kind="expectation", rationale=SECRET),
        "assessments.0: rationale is given for an expectation, which MLflow drops",
    ),
    (assessed(rationale="x" * 16_385), "assessments.0.rationale: has 16385 bytes; the limit is 16384"),
    (assessed(rationale="ä" * 8_193), "assessments.0.rationale: has 16386 bytes; the limit is 16384"),
    (assessed(rationale=[SECRET]), "assessments.0.rationale: must be a string"),
    # metadata and tags
    (feedback(metadata={"mlflow.x": SECRET}), "metadata: a key begins with 'mlflow.', which is reserved"),
    (feedback(metadata={"feedback.x": SECRET}), "metadata: a key begins with 'feedback.', which is reserved"),
    (feedback(metadata={"a": 1}), "metadata: key 'a' must hold a string"),
    (feedback(metadata={SECRET + " said": 1}), "metadata: a key must hold a string"),
    (feedback(metadata={"": SECRET}), "metadata: a key must be a string of 1 to 250 characters"),
    (feedback(metadata={"k" * 251: SECRET}), "metadata: a key must be a string of 1 to 250 characters"),
    (feedback(metadata=[SECRET]), "metadata: must be an object of strings"),
    (feedback(metadata={"a": "x" * 32_768}), "metadata: has 32777 bytes as JSON; the limit is 32768"),
    (chat(tags={"a": "x" * 32_768}), "tags: has 32777 bytes as JSON; the limit is 32768"),
    (chat(tags={"a": [SECRET]}), "tags: key 'a' must hold a string"),
    # ids and times
    (feedback(event_id=SECRET), "event_id: is not a UUID"),
    (feedback(event_id=7), "event_id: is not a UUID"),
    (feedback(event_id=None), "event_id: is not a UUID"),
    (feedback(submitted_at="2026-01-31T12:00:00"), "submitted_at: is not an RFC 3339 time with an offset"),
    (chat(completed_at="2026-01-31T12:00:00"), "completed_at: is not an RFC 3339 time with an offset"),
    (feedback(submitted_at=1769860800), "submitted_at: is not an RFC 3339 time with an offset"),
    (feedback(submitted_at="1769860800"), "submitted_at: is not an RFC 3339 time with an offset"),
    (feedback(submitted_at="2026-01-31"), "submitted_at: is not an RFC 3339 time with an offset"),
    (feedback(submitted_at="2026-01-31T12:00:00Z\n"), "submitted_at: is not an RFC 3339 time with an offset"),
    (feedback(submitted_at=None), "submitted_at: is not an RFC 3339 time with an offset"),
    (feedback(submitted_at="2026-02-30T12:00:00Z"), "submitted_at: is not a time that exists"),
    (feedback(submitted_at="2026-01-31T12:00:00+99:00"), "submitted_at: is not a time that exists"),
    (chat(completed_at="0001-01-01T00:00:00+14:00"), "completed_at: lies outside the years 1970 to 9998"),
    (chat(completed_at="9999-12-31T23:59:59-14:00"), "completed_at: lies outside the years 1970 to 9998"),
    (
        feedback(submitted_at="2026-01-31T12:10:01Z"),
        "submitted_at: is 601 s ahead of the record's own time; the limit is 10 minutes",
    ),
    (
        withdrawal(submitted_at="2026-01-31T14:10:01+02:00"),
        "submitted_at: is 601 s ahead of the record's own time; the limit is 10 minutes",
    ),
    # types
    (without(FEEDBACK, "type"), "type: is missing; here it must be one of ChatCompleted, FeedbackSubmitted"),
    (feedback(type="Feedback"), "type: is not the name of an event; here it must be one of"),
    (feedback(type=SECRET), "type: is not the name of an event"),
    (feedback(type=[SECRET]), "type: is not the name of an event"),
    (feedback(type="FeedbackLogged"), "type: is not the name of an event"),
]


@pytest.mark.parametrize(
    ("document", "said"), REFUSED, ids=lambda part: part if isinstance(part, str) else ""
)
def test_what_breaks_the_contract_is_refused_with_field_and_limit(document: Json, said: str) -> None:
    assert said in refusal(json.dumps(document).encode())


NOT_DOCUMENTS: list[tuple[bytes | None, str]] = [
    (None, "the value: is null; it must be a JSON object"),
    (b"", "the value: is empty; it must be a JSON object"),
    (b"s3cret-comment-of-a-person", "the value: is not JSON"),
    (b'{"comment": "s3cret-comment-of-a-person', "the value: is not JSON"),
    (b'"s3cret-comment-of-a-person"', "the value: is a JSON str; it must be an object"),
    (b"[]", "the value: is a JSON list; it must be an object"),
    (b"null", "the value: is a JSON NoneType; it must be an object"),
    (b"1", "the value: is a JSON int; it must be an object"),
    (b"NaN", "the value: is not JSON"),
    (b'{"a": "\xff"}', "the value: is not JSON in UTF-8"),
    (b'{"a": "\\ud800"}', "the value: is not JSON in UTF-8"),
    (b"\xef\xbb\xbf{}", "the value: is not JSON"),
    (b'{"a": 1' + b"0" * 5_000 + b"}", "the value: is not JSON"),
    (b'{"a":' * 300 + b"1" + b"}" * 300, "the value: is not JSON"),
    (b"[" * 500_000, "the value: is not JSON"),
    (json.dumps(FEEDBACK).encode().replace(b'"helpful"', b'"a\\u0000"'), "assessments.0.name: holds a NUL"),
    (b'{"x": {"a\\u0000": 1}}', "x.(a key): holds a NUL"),
    (b'{"unknown": ["a", "\\u0000"]}', "unknown.1: holds a NUL character, which Postgres cannot store"),
    (b'{"a\x00": 1}', "the value: is not JSON"),
]


@pytest.mark.parametrize(("value", "said"), NOT_DOCUMENTS, ids=lambda part: str(part)[:40])
def test_what_is_no_json_object_is_refused_by_its_name(value: bytes | None, said: str) -> None:
    assert said in refusal(value)


def test_where_a_nul_is_found_the_inside_of_a_value_is_not_shown() -> None:
    document = assessed(value={SECRET: "\x00"})
    assert "assessments.0.value: holds a NUL" in refusal(json.dumps(document).encode())


def test_a_number_too_large_for_a_double_is_refused() -> None:
    value = json.dumps(assessed(value=7)).encode().replace(b": 7", b": 1e999")
    assert "assessments.0.value: holds NaN or infinity" in refusal(value)


@pytest.mark.parametrize(
    ("document", "field"),
    [
        (CHAT, "event_id"),
        (CHAT, "completed_at"),
        (FEEDBACK, "event_id"),
        (FEEDBACK, "submitted_at"),
        (WITHDRAWAL, "event_id"),
        (WITHDRAWAL, "submitted_at"),
    ],
)
def test_what_python_fills_in_is_required_on_the_wire(document: Json, field: str) -> None:
    assert refusal(json.dumps(without(document, field)).encode()).startswith(f"{field}: is missing; send ")


def test_all_that_is_wrong_is_told_at_once() -> None:
    said = refusal(json.dumps(without(feedback(source={"type": "X"}, span_id=""), "event_id")).encode())
    assert [part.split(":")[0] for part in said.split("; ") if ": " in part][:1] == ["event_id"]
    assert "span_id: must be" in said
    assert "source.type: must be one of" in said


def test_only_the_first_of_many_problems_are_shown_and_all_are_kept() -> None:
    with pytest.raises(ContractError) as caught:
        parse(feedback(assessments=[{}] * 32))
    assert str(caught.value).endswith("; and 59 more")
    assert len(caught.value.problems) == 64


def test_a_chat_event_is_refused_where_feedback_is_expected() -> None:
    value = json.dumps(CHAT).encode()
    with pytest.raises(ContractError, match="here it must be one of FeedbackSubmitted, FeedbackWithdrawn"):
        parse_event(value, FEEDBACK_EVENTS, recorded_at=NOW)
    assert isinstance(parse_event(value, CHAT_EVENTS, recorded_at=NOW), ChatCompleted)


def test_a_record_full_of_wrong_items_is_refused_at_once() -> None:
    began = time.monotonic()
    assert "assessments: has 300000 items" in refusal(
        json.dumps(feedback(assessments=[0] * 300_000)).encode()
    )
    many = {f"u{i}": 1 for i in range(50_000)}
    with pytest.raises(ContractError, match="and 49995 more"):
        validate_document(feedback(**many), ALL_EVENTS, forbid_unknown=True)
    assert time.monotonic() - began < 5


def test_unknown_fields_are_ignored_by_a_consumer_and_refused_for_a_publisher() -> None:
    document = feedback(new_field=1, source={"type": "CODE", "more": 1})
    assert isinstance(parse(document), FeedbackSubmitted)
    with pytest.raises(ContractError) as caught:
        validate_document(document, ALL_EVENTS, forbid_unknown=True)
    assert {problem.field for problem in caught.value.problems} == {"new_field", "source.more"}


@pytest.mark.parametrize("levels", [1, 32])
def test_an_expectation_may_nest(levels: int) -> None:
    event = parse(assessed(kind="expectation", value=nested(levels)))
    assert event.assessments[0].value == nested(levels)


@pytest.mark.parametrize(
    ("document", "field", "expected"),
    [
        (feedback(client_request_id="x" * 50), "client_request_id", "x" * 50),
        (feedback(client_request_id="aZ09-_.:/=+@"), "client_request_id", "aZ09-_.:/=+@"),
        (feedback(trace_id=TRACE.upper()), "trace_id", f"tr-{TRACE}"),
        (feedback(trace_id="tr-" + "a" * 47), "trace_id", "tr-" + "a" * 47),
        (feedback(feedback_id="ä" * 250), "feedback_id", "ä" * 250),
        (feedback(submitted_at="2026-01-31T12:10:00Z"), "submitted_at", NOW + timedelta(minutes=10)),
        (feedback(submitted_at="2026-01-31t14:00:00.000000+02:00"), "submitted_at", NOW),
        (feedback(submitted_at="1970-01-01T00:00:00Z"), "submitted_at", datetime(1970, 1, 1, tzinfo=UTC)),
    ],
)
def test_what_lies_at_a_limit_passes(document: Json, field: str, expected: object) -> None:
    assert getattr(parse(document), field) == expected


@pytest.mark.parametrize(
    "value", ["x" * 61_438, 2**53, -(2**53), 1e300, True, "", [], {}, ["a", 1, True, 0.5]]
)
def test_a_value_at_the_limit_passes_as_it_is(value: object) -> None:
    (said,) = parse(assessed(value=value)).assessments
    assert said.value == value
    assert type(said.value) is type(value)


def test_a_rationale_at_the_limit_passes() -> None:
    assert parse(assessed(rationale="ä" * 8_192)).assessments[0].rationale == "ä" * 8_192


def test_one_name_may_be_given_as_feedback_and_as_expectation() -> None:
    kinds = [{"name": "a", "value": 1}, {"name": "a", "value": 1, "kind": "expectation"}]
    assert [said.kind for said in parse(feedback(assessments=kinds)).assessments] == [
        "feedback",
        "expectation",
    ]


def test_a_withdrawal_takes_plain_names_and_names_with_kinds() -> None:
    event = parse(withdrawal(names=["a", {"name": "a", "kind": "expectation"}]))
    assert isinstance(event, FeedbackWithdrawn)
    assert [(ref.name, ref.kind) for ref in event.names] == [("a", "feedback"), ("a", "expectation")]


@pytest.mark.parametrize(
    ("fields", "reference", "who"),
    [
        ({"client_request_id": "r", "trace_id": TRACE, "feedback_id": "f"}, "r", "f"),
        ({"client_request_id": None, "trace_id": TRACE}, f"tr-{TRACE}", "anna"),
        ({"source": {"type": "HUMAN"}}, "req-1", FEEDBACK["event_id"]),
    ],
)
def test_an_event_says_what_it_is_about_and_whose_it_is(fields: Json, reference: str, who: str) -> None:
    event = parse(feedback(**fields))
    assert (event.reference, event.who) == (reference, who)


def test_of_a_key_given_twice_the_last_one_counts() -> None:
    value = json.dumps(FEEDBACK).encode().replace(b'"req-1"', b'"req-1", "client_request_id": "req-2"')
    event = parse_event(value, ALL_EVENTS, recorded_at=NOW)
    assert event.client_request_id == "req-2"
    assert event.event_id == UUID(FEEDBACK["event_id"])


json_values = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats() | st.text(st.characters()),
    lambda inner: st.lists(inner, max_size=4) | st.dictionaries(st.text(), inner, max_size=4),
    max_leaves=20,
)
fields = sorted({*FEEDBACK, *WITHDRAWAL, *CHAT, "span_id", "feedback_id", "assessments"})


def assert_only_a_contract_error(value: bytes) -> None:
    try:
        parse_event(value, ALL_EVENTS, recorded_at=NOW)
    except ContractError as error:
        str(error).encode()


@given(st.binary())
def test_no_bytes_raise_anything_else(value: bytes) -> None:
    assert_only_a_contract_error(value)


@given(json_values)
def test_no_json_raises_anything_else(document: object) -> None:
    assert_only_a_contract_error(json.dumps(document).encode())


@given(st.sampled_from([CHAT, FEEDBACK, WITHDRAWAL]), st.dictionaries(st.sampled_from(fields), json_values))
def test_no_value_of_a_field_raises_anything_else(document: Json, replaced: Json) -> None:
    assert_only_a_contract_error(json.dumps({**document, **replaced}).encode())


@given(json_values, json_values, json_values)
def test_no_assessment_raises_anything_else(name: object, value: object, rationale: object) -> None:
    said = {"name": name, "value": value, "rationale": rationale}
    document = feedback(assessments=[said, said | {"kind": "expectation"}, said | {"name": "a"}])
    assert_only_a_contract_error(json.dumps(document).encode())


@given(st.text(st.characters(max_codepoint=0x2FF), max_size=60))
def test_a_request_id_that_passes_needs_no_escape_in_a_filter(request_id: str) -> None:
    try:
        event = parse(chat(client_request_id=request_id))
    except ContractError:
        return
    assert event.client_request_id == request_id
    assert request_id.isascii()
    assert not any(letter.isspace() or letter in "'\"\\`%;()\x00" for letter in request_id)


@given(
    st.from_regex(r"[A-Za-z0-9\-_.:/=+@]{1,50}", fullmatch=True), st.sampled_from(["\n", "'", '"', "\\", " "])
)
def test_one_bad_letter_spoils_a_request_id_wherever_it_stands(good: str, bad: str) -> None:
    for spoiled in (good[:49] + bad, bad + good[:49], good[:20] + bad + good[20:49]):
        with pytest.raises(ContractError, match="client_request_id"):
            parse(chat(client_request_id=spoiled))


def test_decode_document_takes_an_object_as_it_is() -> None:
    assert decode_document(b'{"a": [1, "\\u00e4"]}') == {"a": [1, "ä"]}
