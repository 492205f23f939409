import json
from datetime import UTC, datetime
from pathlib import Path
from uuid import UUID

import pytest
from jsonschema import Draft202012Validator

import contracts
from contracts import FeedbackLogged
from contracts.check import check
from contracts.identity import NAMESPACE, assessment_id, feedback_id
from contracts.parse import ALL_EVENTS, decode_document, parse_event, validate
from contracts.schema import schemas

FOLDER = Path(contracts.__file__).parent / "examples"
EVENTS = sorted(path for path in FOLDER.glob("*.json") if path.stem != "identity")
SENT = [path for path in EVENTS if not path.stem.startswith("receipt")]
NOW = datetime(2026, 2, 1, tzinfo=UTC)


def named(paths: list[Path]) -> list[str]:
    return [path.stem for path in paths]


def test_there_are_examples_of_each_event() -> None:
    kinds = {json.loads(path.read_bytes())["type"] for path in EVENTS}
    assert kinds == set(schemas())


@pytest.mark.parametrize("path", EVENTS, ids=named(EVENTS))
def test_an_example_follows_its_schema(path: Path) -> None:
    document = json.loads(path.read_bytes())
    Draft202012Validator(schemas()[document["type"]]).validate(document)


@pytest.mark.parametrize("path", SENT, ids=named(SENT))
def test_an_example_parses_and_passes_the_check(path: Path) -> None:
    value = path.read_bytes()
    event = parse_event(value, ALL_EVENTS, recorded_at=NOW)
    assert str(event.event_id) == json.loads(value)["event_id"]
    assert check(value, now=NOW).bad == 0


@pytest.mark.parametrize("name", ["receipt-logged", "receipt-dead-lettered"])
def test_a_receipt_reads_as_one(name: str) -> None:
    document = decode_document((FOLDER / f"{name}.json").read_bytes())
    receipt = validate(FeedbackLogged, document, forbid_unknown=True, on_wire=True)
    assert receipt.outcome == name.removeprefix("receipt-")


def test_no_two_examples_are_the_same_event() -> None:
    ids = [json.loads(path.read_bytes())["event_id"] for path in SENT]
    assert len(set(ids)) == len(ids)


IDENTITY = json.loads((FOLDER / "identity.json").read_bytes())


@pytest.mark.parametrize("vector", IDENTITY["vectors"], ids=lambda vector: vector["case"])
def test_an_identity_stays_what_it_was(vector: dict[str, str]) -> None:
    parts = {key: vector[key] for key in ("reference", "span_id", "kind", "name", "source_type", "who")}
    found = feedback_id(**parts)
    assert (str(found), assessment_id(found)) == (vector["feedback_id"], vector["assessment_id"])
    assert json.loads(vector["hashed"]) == ["v1", *parts.values()]


def test_the_namespace_stays_what_it_was() -> None:
    assert UUID(IDENTITY["namespace"]) == NAMESPACE
