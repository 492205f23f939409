import json
from pathlib import Path

import pytest
from jsonschema import Draft202012Validator

from contracts.schema import FOLDER, schemas, text, write

NAMES = ["ChatCompleted", "FeedbackSubmitted", "FeedbackWithdrawn", "FeedbackLogged"]


def test_there_is_a_schema_for_each_event() -> None:
    assert list(schemas()) == NAMES
    for schema in schemas().values():
        Draft202012Validator.check_schema(schema)


@pytest.mark.parametrize("name", NAMES)
def test_the_committed_schema_is_what_the_code_generates(name: str) -> None:
    committed = (FOLDER / f"{name}.json").read_text(encoding="utf-8")
    assert committed == text(schemas()[name]), "run: python -m contracts.schema"


def test_write_makes_one_file_for_each_event(tmp_path: Path) -> None:
    paths = write(tmp_path / "new")
    assert [path.name for path in paths] == [f"{name}.json" for name in NAMES]
    assert json.loads(paths[0].read_text(encoding="utf-8")) == schemas()["ChatCompleted"]


@pytest.mark.parametrize("name", NAMES)
def test_every_field_is_described(name: str) -> None:
    schema = schemas()[name]
    objects = [schema, *schema.get("$defs", {}).values()]
    undescribed = [
        field for part in objects for field, said in part["properties"].items() if not said.get("description")
    ]
    assert undescribed == []


@pytest.mark.parametrize(
    ("name", "fields"),
    [
        ("ChatCompleted", {"type", "event_id", "client_request_id", "completed_at"}),
        ("FeedbackSubmitted", {"type", "event_id", "source", "submitted_at", "assessments"}),
        ("FeedbackWithdrawn", {"type", "event_id", "source", "submitted_at", "names"}),
    ],
)
def test_what_makes_a_redelivery_the_same_event_is_required_on_the_wire(name: str, fields: set[str]) -> None:
    assert set(schemas()[name]["required"]) == fields
