"""What became of one event, by what stands of its feedback and by when it was submitted."""

from datetime import UTC, datetime, timedelta
from uuid import UUID

import pytest

from apps.feedback_api.models import StatusAnswer
from apps.feedback_api.standing import Stands

AT = datetime(2026, 1, 31, 12, tzinfo=UTC)
FEEDBACK, LOW, STANDING, HIGH = (UUID(int=number) for number in (1, 10, 20, 30))
STANDS = Stands(
    StatusAnswer(feedback_id=FEEDBACK, status="logged", event_id=STANDING), AT, "req-1", (f"{HIGH} 1",)
)


@pytest.mark.parametrize(
    ("event_id", "seconds", "status"),
    [
        (STANDING, 0, "logged"),
        (LOW, -1, "superseded"),
        (LOW, 0, "superseded"),
        (LOW, 1, "accepted"),
        (UUID(int=21), 0, "accepted"),
        (HIGH, 1, "superseded"),
    ],
)
def test_what_is_newer_than_what_stands_is_not_read_yet(event_id: UUID, seconds: int, status: str) -> None:
    at = AT + timedelta(seconds=seconds)
    assert STANDS.of_event(event_id, at, is_ours=False).status == status


@pytest.mark.parametrize(("is_ours", "status"), [(True, "accepted"), (False, "superseded")])
def test_without_its_time_only_the_process_that_took_it_knows(is_ours: bool, status: str) -> None:  # noqa: FBT001
    assert STANDS.of_event(LOW, None, is_ours=is_ours).status == status
