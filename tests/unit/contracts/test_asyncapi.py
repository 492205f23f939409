import json
from collections.abc import Iterator
from typing import Any

import pytest
from jsonschema import Draft202012Validator

from contracts.asyncapi import FILE, document
from contracts.schema import schemas, text

Json = dict[str, Any]


@pytest.fixture(scope="module")
def generated() -> Json:
    return document()


def resolve(document: Json, reference: str) -> Json:
    found: Any = document
    for part in reference.removeprefix("#/").split("/"):
        found = found[part]
    return dict(found)


def references(part: Any) -> Iterator[str]:
    if isinstance(part, dict):
        yield from ([part["$ref"]] if isinstance(part.get("$ref"), str) else [])
        for inner in part.values():
            yield from references(inner)
    elif isinstance(part, list):
        for inner in part:
            yield from references(inner)


def message_of(document: Json, channel: str) -> Json:
    (reference,) = document["channels"][channel]["messages"].values()
    return resolve(document, reference["$ref"])


def test_the_committed_document_is_what_the_code_generates(generated: Json) -> None:
    assert FILE.read_text(encoding="utf-8") == text(generated), "run: python -m contracts.asyncapi"


def test_generating_it_twice_gives_the_same(generated: Json) -> None:
    assert document() == generated


def test_applications_send_two_topics_and_receive_two(generated: Json) -> None:
    actions = {name: operation["action"] for name, operation in generated["operations"].items()}
    assert actions == {
        "chat-completed": "send",
        "feedback-submitted": "send",
        "feedback-logged": "receive",
        "feedback-dead-letter": "receive",
    }
    assert generated["asyncapi"].startswith("3.0")
    assert "servers" not in generated


def test_every_reference_leads_somewhere(generated: Json) -> None:
    found = set(references(generated))
    assert found
    for reference in found:
        assert resolve(generated, reference)


@pytest.mark.parametrize("channel", ["chat-completed", "feedback-submitted", "feedback-logged"])
def test_a_message_says_its_key_and_headers_and_its_examples_follow_its_payload(
    generated: Json, channel: str
) -> None:
    message = message_of(generated, channel)
    assert "client_request_id" in message["bindings"]["kafka"]["key"]["description"]
    assert {"traceparent", "ce_id"} <= set(message["headers"]["properties"])
    assert "required" not in message["headers"]
    whole = {**message["payload"], "components": generated["components"]}
    assert len(message["examples"]) == 2
    for example in message["examples"]:
        Draft202012Validator(whole).validate(example["payload"])


def test_a_dead_letters_block_of_headers_is_described(generated: Json) -> None:
    required = message_of(generated, "feedback-dead-letter")["headers"]["required"]
    assert required[0] == "feedback-reason"
    assert "feedback-origin-offset" in required


def test_the_events_are_those_of_the_json_schemas(generated: Json) -> None:
    components = generated["components"]["schemas"]
    for name, schema in schemas().items():
        assert components[name]["required"] == schema["required"]
        assert set(components[name]["properties"]) == set(schema["properties"])
    assert "$defs" not in json.dumps(components)
