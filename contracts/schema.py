"""JSON Schemas of the events, generated into ``contracts/schemas/`` by ``python -m contracts.schema``."""

import json
from pathlib import Path
from typing import Any, Final

from pydantic import BaseModel
from pydantic.json_schema import GenerateJsonSchema
from pydantic_core import core_schema

from contracts.events import EVENTS
from contracts.parse import sender_fields

FOLDER: Final = Path(__file__).with_name("schemas")
"""Where the generated files stand; they are part of the package."""


class _Plain(GenerateJsonSchema):
    """Without pydantic's titles, which only repeat the fields' names."""

    def field_title_should_be_set(self, schema: Any) -> bool:  # noqa: ANN401, ARG002 - pydantic's own signature
        return False

    def model_schema(self, schema: core_schema.ModelSchema) -> dict[str, Any]:
        generated = super().model_schema(schema)
        return {key: part for key, part in generated.items() if key != "title"}


def schemas() -> dict[str, dict[str, Any]]:
    """Give the JSON Schema (draft 2020-12) of each event as it must be on the wire, by the event's name."""
    return {model.__name__: _schema(model) for model in EVENTS}


def _schema(model: type[BaseModel]) -> dict[str, Any]:
    generated = model.model_json_schema(schema_generator=_Plain, mode="validation")
    required = {"type", *sender_fields(model), *generated["required"]}
    ordered = [name for name in generated["properties"] if name in required]
    head = {
        "$schema": "https://json-schema.org/draft/2020-12/schema",
        "$id": f"urn:feedback-pipeline:v1:{model.__name__}",
        "title": model.__name__,
    }
    return {**head, **generated, "required": ordered}


def text(document: dict[str, Any]) -> str:
    """Give a document as the files have it."""
    return json.dumps(document, indent=2, ensure_ascii=False) + "\n"


def write(folder: Path = FOLDER) -> list[Path]:
    """Write the schemas into a folder and give their paths."""
    folder.mkdir(parents=True, exist_ok=True)
    paths = [folder / f"{name}.json" for name in schemas()]
    for path, schema in zip(paths, schemas().values(), strict=True):
        path.write_text(text(schema), encoding="utf-8")
    return paths


if __name__ == "__main__":
    write()
