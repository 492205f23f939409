"""How what was said is summed up, and what the library finds."""

from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import pytest

from apps.chat.insights import Said, summary
from apps.chat.library import Library, documents, own_library, passages_of

NOW = datetime(2026, 1, 31, 12, tzinfo=UTC)


def said(value: object, *, name: str = "user_feedback", minutes: float = 1, **given: Any) -> Said:
    fields: dict[str, Any] = {"comment": None, "trace_id": "tr-1", "client_request_id": "r"}
    fields |= {"app_version": "1", "region": "eu"} | given
    return Said(at=NOW - timedelta(minutes=minutes), name=name, value=value, **fields)


@pytest.mark.parametrize(
    ("value", "name", "judged"),
    [
        (True, "user_feedback", True),
        (False, "user_feedback", False),
        (0.6, "user_accuracy", True),
        (0.4, "user_accuracy", False),
        (5, "user_stars", True),
        ("good", "user_feedback", None),
        (True, "helpful", None),
    ],
)
def test_what_is_praise(value: object, name: str, judged: bool | None) -> None:  # noqa: FBT001 - of three
    assert said(value, name=name).is_positive is judged


def test_a_summary() -> None:
    found = summary(
        [
            said(value=True, minutes=0.5),
            said(value=False, minutes=3.5, comment="no", app_version="2", region=None),
            said("other", minutes=4),
        ],
        5,
        NOW,
        "http://m/{trace_id}",
    )
    assert (found["total"], found["positive"], found["negative"], found["rate"]) == (3, 1, 1, 0.5)
    assert [(one["positive"], one["negative"]) for one in found["over_time"]] == [
        (0, 0),
        (0, 1),
        (0, 0),
        (0, 0),
        (1, 0),
    ]
    assert found["over_time"][0]["at"] == "2026-01-31T11:55:00+00:00"
    assert found["by_version"] == [
        {"key": "1", "positive": 1, "negative": 0},
        {"key": "2", "positive": 0, "negative": 1},
    ]
    assert found["by_region"] == [{"key": "eu", "positive": 1, "negative": 0}]
    (complaint,) = found["comments"]
    assert (complaint["comment"], complaint["mlflow_url"]) == ("no", "http://m/tr-1")


def test_nothing_has_no_rate_and_at_most_sixty_buckets() -> None:
    found = summary([], 1440, NOW, None)
    assert found["rate"] is None
    assert len(found["over_time"]) == 60


def test_the_library_finds_what_the_documents_say_and_nothing_of_what_they_do_not() -> None:
    assert "operations.md" in {
        passage.document for passage, _ in own_library().find("What is a dead letter?")
    }
    assert own_library().find("xyzzy") == []
    assert own_library().find("") == []
    assert len(documents()) >= 7


def test_code_and_headings_are_no_passages(tmp_path: Path) -> None:
    path = tmp_path / "a.md"
    long = "A sentence that is long enough to be a passage of its own, about kangaroos."
    path.write_text(f"# Top\n\n{long}\n\n```sh\n{long}\n```\n\nshort\n\n## Below\n{long}\n")
    passages = list(passages_of(path))
    assert [passage.heading for passage in passages] == ["Top", "Below"]
    assert Library(passages).find("kangaroo kangaroos")
