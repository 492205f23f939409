"""A consumer asks for the topics that it needs alone: its user may have no right to the others."""

import pytest

from consumers.bootstrap import ConsumerName, topics_of
from consumers.settings import Settings

RETRIES = {f"feedback-retry-{delay}" for delay in ("2s", "1m", "15m")}


@pytest.mark.parametrize(
    ("name", "read", "written"),
    [
        ("chats", {"chat-completed"}, {"feedback-dead-letter"}),
        ("feedback", {"feedback-submitted"}, {"feedback-logged", "feedback-dead-letter", *RETRIES}),
        ("retries", RETRIES, {"feedback-logged", "feedback-dead-letter"}),
    ],
)
def test_the_topics_of_a_consumer(name: ConsumerName, read: set[str], written: set[str]) -> None:
    expected = dict.fromkeys(written, "Write") | dict.fromkeys(read, "Read")
    assert topics_of([name], Settings()) == expected
