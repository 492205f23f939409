"""What the faster writer of JSON gives is what pydantic's gives, also where it gives up."""

import json
from datetime import UTC, datetime
from uuid import UUID

import pytest
from pydantic_core import to_json

from pipeline.json_bytes import json_bytes


@pytest.mark.parametrize(
    "value",
    [
        {"id": UUID(int=7), "at": datetime(2026, 1, 31, 12, 0, 5, 123_000, tzinfo=UTC), "none": None},
        [True, 1, 1.5, 'ü\n\x01"\\', {"a": [{}]}],
        2**53,
        2**70,
        {"far": [-(2**64)]},
    ],
)
def test_it_is_the_same_json(value: object) -> None:
    assert json.loads(json_bytes(value)) == json.loads(to_json(value))


@pytest.mark.parametrize("value", ["\ud800", {"a": ["\udfff"]}, object()])
def test_what_is_no_json_is_a_value_error(value: object) -> None:
    with pytest.raises(ValueError, match=r"."):
        json_bytes(value)
