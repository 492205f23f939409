import json
from typing import TypedDict
from uuid import UUID

from hypothesis import given
from hypothesis import strategies as st

from contracts.identity import assessment_id, feedback_id, receipt_id


class Parts(TypedDict):
    reference: str
    span_id: str | None
    kind: str
    name: str
    source_type: str
    who: str


# A small alphabet with JSON's own letters: were the parts only joined, they would often collide.
words = st.text('a",[]\\', max_size=3) | st.text(max_size=5)
parts = st.fixed_dictionaries(
    {
        "reference": words,
        "span_id": st.none() | words,
        "kind": st.sampled_from(["feedback", "expectation"]),
        "name": words,
        "source_type": st.sampled_from(["HUMAN", "LLM_JUDGE", "CODE"]),
        "who": words,
    }
)


def identify(parts: Parts) -> UUID:
    return feedback_id(**parts)


@given(parts)
def test_the_same_parts_are_the_same_feedback(some: Parts) -> None:
    again: Parts = json.loads(json.dumps(some))
    assert identify(some) == identify(again)


@given(parts, parts)
def test_other_parts_are_another_feedback(some: Parts, other: Parts) -> None:
    assert (identify(some) == identify(other)) == (some == other)


def test_no_span_is_not_a_span_called_null() -> None:
    whole: Parts = {
        "reference": "r",
        "span_id": None,
        "kind": "feedback",
        "name": "n",
        "source_type": "HUMAN",
        "who": "w",
    }
    ids = {identify(whole), identify({**whole, "span_id": "null"}), identify({**whole, "span_id": ""})}
    assert len(ids) == 3


@given(parts)
def test_an_assessment_id_fits_mlflows_column(some: Parts) -> None:
    made = assessment_id(identify(some))
    assert made == "a-" + str(identify(some)).replace("-", "")
    assert len(made) <= 50


def test_a_receipt_is_the_same_again_and_another_for_another_outcome() -> None:
    event, feedback = UUID(int=1), UUID(int=2)
    assert receipt_id(event, feedback, "logged") == UUID("c8f87a2b-e202-5b70-b0bc-1bb9a479ba72")
    ids = {
        receipt_id(UUID(int=e), UUID(int=f), outcome)
        for e in (1, 2)
        for f in (1, 2)
        for outcome in ("logged", "superseded", "withdrawn", "dead-lettered")
    }
    assert len(ids) == 16
