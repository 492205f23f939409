import copy
import json
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

import contracts
from contracts.compatibility import breaking_changes, breaking_release
from contracts.schema import schemas

Json = dict[str, Any]
Change = Callable[[Json], object]

RELEASED = Path(contracts.__file__).parent / "schemas" / "released"

OLD: Json = {
    "type": "object",
    "properties": {
        "name": {"type": "string", "minLength": 1, "maxLength": 250, "pattern": "^[a-z]+$"},
        "kind": {"enum": ["feedback", "expectation"], "default": "feedback"},
        "value": {"type": ["boolean", "number"]},
        "note": {"anyOf": [{"type": "string", "maxLength": 10}, {"type": "null"}], "default": None},
        "tags": {
            "type": "object",
            "additionalProperties": {"type": "string"},
            "propertyNames": {"maxLength": 9},
        },
        "items": {"type": "array", "items": {"$ref": "#/$defs/Item"}, "minItems": 1, "maxItems": 32},
        "type": {"const": "Event"},
    },
    "$defs": {"Item": {"type": "object", "properties": {"size": {"type": "integer", "maximum": 9}}}},
    "required": ["name"],
    "anyOf": [{"required": ["kind"]}, {"required": ["value"]}],
}


def changed(change: Change) -> Json:
    new = copy.deepcopy(OLD)
    change(new)
    return new


def field(name: str, **keywords: object) -> Change:
    return lambda new: new["properties"][name].update(keywords)


def without(name: str, keyword: str) -> Change:
    return lambda new: new["properties"][name].pop(keyword)


BREAKING: list[tuple[Change, list[str]]] = [
    (lambda new: new["properties"].pop("note"), ["note: the field is gone"]),
    (lambda new: new["required"].append("value"), ["value: is required now"]),
    (field("value", type="number"), ["value: type boolean is gone"]),
    (field("value", type=["boolean", "integer"]), ["value: type number is gone"]),
    (field("kind", enum=["feedback"]), ['kind: enum "expectation" is gone']),
    (field("kind", default="expectation"), ["kind: its default is another"]),
    (without("kind", "default"), ["kind: its default is another"]),
    (field("type", const="Other"), ['type: enum "Event" is gone']),
    (field("name", maxLength=249), ["name: maxLength is tightened"]),
    (field("name", minLength=2), ["name: minLength is tightened"]),
    (field("name", pattern="^[a-z0-9]+$"), ["name: pattern is another"]),
    (field("name", format="uuid"), ["name: format is another"]),
    (field("value", maximum=5), ["value: maximum is tightened"]),
    (field("value", enum=[1, 2]), ["value: enum is restricted"]),
    (field("items", maxItems=31), ["items: maxItems is tightened"]),
    (field("items", minItems=2), ["items: minItems is tightened"]),
    (field("items", uniqueItems=True), ["items: uniqueItems is another"]),
    (lambda new: new["$defs"]["Item"]["properties"].pop("size"), ["items.[].size: the field is gone"]),
    (
        lambda new: new["$defs"]["Item"]["properties"]["size"].update(maximum=8),
        ["items.[].size: maximum is tightened"],
    ),
    (lambda new: new["$defs"]["Item"].update(required=["size"]), ["items.[].size: is required now"]),
    (lambda new: new.update(additionalProperties=False), ["the event: additionalProperties is closed"]),
    (field("tags", additionalProperties=False), ["tags: additionalProperties is closed"]),
    (field("tags", additionalProperties={"type": "number"}), ["tags.*: type string is gone"]),
    (field("tags", propertyNames={"maxLength": 8}), ["tags.*: maxLength is tightened"]),
    (field("note", anyOf=[{"type": "string", "maxLength": 10}]), ["note: type null is gone"]),
    (
        field("note", anyOf=[{"type": "string", "maxLength": 9}, {"type": "null"}]),
        ["note: maxLength is tightened"],
    ),
    (lambda new: new["anyOf"].pop(), ["kind: is required now"]),
    (
        lambda new: new.update({"if": {}, "then": {}}),
        ["the event: if is another", "the event: then is another"],
    ),
]


@pytest.mark.parametrize(("change", "said"), BREAKING)
def test_a_change_that_breaks_a_sender_is_found(change: Change, said: list[str]) -> None:
    assert breaking_changes(OLD, changed(change)) == said


COMPATIBLE: list[Change] = [
    dict.copy,
    lambda new: new["properties"].update(more={"type": "string", "maxLength": 3}),
    lambda new: new["required"].remove("name"),
    lambda new: new.update(title="Another", description="another"),
    lambda new: new.pop("anyOf"),
    lambda new: new["anyOf"].append({"required": ["note"]}),
    lambda new: new["$defs"]["Item"]["properties"].update(more={}),
    field("name", maxLength=251, minLength=0),
    field("name", default="x"),
    without("name", "pattern"),
    without("name", "maxLength"),
    field("kind", enum=["feedback", "expectation", "more"]),
    field("type", enum=["Event", "More"]),
    field("value", type=["boolean", "number", "string"]),
    without("value", "type"),
    field("items", maxItems=33),
    field("tags", additionalProperties=True, propertyNames={"maxLength": 10}),
    field("note", anyOf=[{"type": "string", "maxLength": 11}, {"type": "null"}, {"type": "number"}]),
]


@pytest.mark.parametrize("change", COMPATIBLE)
def test_a_change_that_breaks_no_sender_passes(change: Change) -> None:
    assert breaking_changes(OLD, changed(change)) == []


def test_a_field_that_takes_null_too_breaks_no_sender() -> None:
    loose = {"anyOf": [{"type": "string"}, {"type": "null"}]}
    old, new = {"properties": {"a": {"type": "string"}}}, {"properties": {"a": loose}}
    assert breaking_changes(old, new) == []
    assert breaking_changes(new, old) == ["a: type is restricted"]


def test_whole_numbers_are_numbers() -> None:
    assert breaking_changes({"type": "integer"}, {"type": ["number", "null"]}) == []
    assert breaking_changes({"type": "number"}, {"type": "integer"}) == ["the event: type number is gone"]


SENT_BREAKING: list[tuple[Change, list[str]]] = [
    (lambda new: new["properties"].pop("note"), ["note: the field is gone"]),
    (lambda new: new["required"].remove("name"), ["name: is not always there any more"]),
    (field("kind", enum=["feedback", "expectation", "more"]), ['kind: enum "more" is new']),
    (field("value", type=["boolean", "number", "string"]), ["value: type string is new"]),
    (field("name", maxLength=251), ["name: maxLength is loosened"]),
]


@pytest.mark.parametrize(("change", "said"), SENT_BREAKING)
def test_a_change_that_breaks_a_reader_is_found(change: Change, said: list[str]) -> None:
    assert breaking_changes(OLD, changed(change), flow="sent") == said


def test_a_new_field_or_a_tighter_limit_breaks_no_reader() -> None:
    new = changed(field("name", maxLength=249))
    new["properties"]["more"] = {"type": "string"}
    new["required"].append("more")
    assert breaking_changes(OLD, new, flow="sent") == []


def test_a_release_may_add_an_event_but_lose_none() -> None:
    assert breaking_release({"A": OLD}, {"A": OLD, "B": OLD}) == []
    assert breaking_release({"A": OLD, "B": OLD}, {"A": OLD}) == ["B: the event is gone"]


def test_a_receipt_is_compared_as_its_readers_see_it() -> None:
    more = changed(field("kind", enum=["feedback", "expectation", "more"]))
    assert breaking_release({"FeedbackLogged": OLD, "A": OLD}, {"FeedbackLogged": more, "A": more}) == [
        'FeedbackLogged: kind: enum "more" is new'
    ]


@pytest.mark.parametrize("release", sorted(path.name for path in RELEASED.iterdir()))
def test_nothing_that_was_released_is_broken(release: str) -> None:
    released = {path.stem: json.loads(path.read_bytes()) for path in (RELEASED / release).glob("*.json")}
    assert set(released) >= {"ChatCompleted", "FeedbackSubmitted", "FeedbackWithdrawn", "FeedbackLogged"}
    assert breaking_release(released, schemas()) == []
