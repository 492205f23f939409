import json
import math
from decimal import Decimal

import pytest
from hypothesis import given
from hypothesis import strategies as st

from contracts import limits
from contracts.values import Kind, check_value, find_nul, has_nul

SECRET = "s3cret"  # noqa: S105 - what no message may quote

scalars = (
    st.booleans()
    | st.integers(-limits.INTEGER, limits.INTEGER)
    | st.floats(allow_nan=False, allow_infinity=False)
    | st.text()
)
flat = scalars | st.lists(scalars, max_size=5) | st.dictionaries(st.text(), scalars, max_size=5)
deep = st.recursive(
    scalars | st.none(),
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.text(), inner, max_size=3),
)


@given(flat)
def test_every_flat_value_is_taken_for_both_kinds_and_survives_json(value: object) -> None:
    check_value(value, "feedback")
    check_value(value, "expectation")
    assert json.loads(json.dumps(value)) == value


@given(deep)
def test_a_value_that_is_taken_survives_json(value: object) -> None:
    try:
        check_value(value, "expectation")
    except ValueError:
        assert value is None
        return
    assert json.loads(json.dumps(value)) == value


@given(st.lists(st.lists(scalars, min_size=1) | st.dictionaries(st.text(), scalars, min_size=1), min_size=1))
def test_a_nested_value_is_taken_only_as_an_expectation(value: object) -> None:
    check_value(value, "expectation")
    with pytest.raises(ValueError, match="is nested; a feedback takes a flat list or dict"):
        check_value(value, "feedback")


@pytest.mark.parametrize(
    ("value", "said"),
    [
        (math.nan, "NaN or infinity"),
        ([SECRET, math.inf], "NaN or infinity"),
        ({SECRET: -math.inf}, "NaN or infinity"),
        (2**53 + 1, "an integer beyond 2^53"),
        ((SECRET,), "is of type tuple"),
        ({SECRET}, "is of type set"),
        (SECRET.encode(), "is of type bytes"),
        (Decimal(1), "is of type Decimal"),
        ({1: SECRET}, "has a key of type int; keys are strings"),
        (SECRET + "\ud800", "a lone surrogate"),
        ({SECRET + "\udfff": 1}, "a lone surrogate"),
        (SECRET * 20_000, "has 120002 bytes as JSON; the limit is 61440"),
    ],
)
def test_what_json_or_mlflow_would_change_is_refused_unquoted(value: object, said: str) -> None:
    kinds: list[Kind] = ["feedback", "expectation"]
    for kind in kinds:
        with pytest.raises(ValueError, match=r".") as caught:
            check_value(value, kind)
        assert said in str(caught.value)
        assert SECRET not in str(caught.value)


def test_a_value_that_holds_itself_is_refused() -> None:
    endless: list[object] = []
    endless.append(endless)
    with pytest.raises(ValueError, match="nests deeper than 32 levels"):
        check_value(endless, "expectation")


@pytest.mark.parametrize(
    ("document", "path"),
    [
        ({"a": 1}, ()),
        ({"a": ["x", {"b": "\x00"}]}, ("a", "1", "b")),
        ({"a": {"b\x00": 1}}, ("a", "a key")),
        ("\x00", ()),
        ([1, None, True, "x\x00y"], ("3",)),
    ],
)
def test_the_first_nul_is_found_by_its_path(document: object, path: tuple[str, ...]) -> None:
    assert find_nul(document) == path


@given(deep)
def test_a_nul_is_found_where_there_is_one(value: object) -> None:
    assert has_nul(json.dumps(value).encode()) == ("\\u0000" in json.dumps(value).replace("\\\\", ""))


def test_a_nul_behind_too_much_is_told_only_so_far() -> None:
    assert find_nul({"a": {"b": [0] * 10_000 + ["\x00"]}}) == ("a", "b")


@pytest.mark.parametrize("backslashes", range(1, 8))
def test_a_backslash_before_u0000_is_no_nul(backslashes: int) -> None:
    value = b'{"a": "' + b"\\" * backslashes + b'u0000"}'
    assert has_nul(value) == ("\x00" in json.loads(value)["a"])
