"""The topics, and how each is kept."""

import re
from collections.abc import Mapping
from dataclasses import dataclass, field
from datetime import timedelta
from typing import Final

DAY_MS: Final = 24 * 3600 * 1000
KEEP_EVENTS_MS: Final = 90 * DAY_MS
"""Retention of events: as long as the tables that can be rebuilt from them."""

EVENT_BYTES: Final = 1024 * 1024
"""Largest event record."""

ENVELOPE_BYTES: Final = 2 * EVENT_BYTES
"""Largest dead letter or parked record: an event of the largest size and our headers."""


RETRY_DELAYS: Final = ("2s", "1m", "15m")
"""The delay of each retry topic, as its name says it."""

_DELAY: Final = re.compile(r"([1-9][0-9]{0,5})(s|m|h)")
_UNITS: Final = {"s": "seconds", "m": "minutes", "h": "hours"}


def delay_of(label: str) -> timedelta:
    """Give the delay that a label such as ``2s``, ``1m`` or ``12h`` says.

    Raises:
        ValueError: when it says none.

    """
    found = _DELAY.fullmatch(label)
    if found is None:
        msg = f"{label!r} is not a delay: write a whole number and s, m or h, such as 2s, 1m, 12h"
        raise ValueError(msg)
    return timedelta(**{_UNITS[found[2]]: int(found[1])})


@dataclass(frozen=True, slots=True)
class TopicSpec:
    """One topic as `feedback topics create` makes it; config values are Kafka's own."""

    name: str
    purpose: str
    config: Mapping[str, str] = field(default_factory=dict)


@dataclass(frozen=True, slots=True)
class Topics:
    """The names of the topics under one prefix (setting ``FEEDBACK_TOPIC_PREFIX``).

    ``retry_delays`` are the labels of the retry topics (setting ``FEEDBACK_RETRY_DELAYS``).
    """

    prefix: str = ""
    retry_delays: tuple[str, ...] = RETRY_DELAYS

    @property
    def chat_completed(self) -> str:
        """Give the topic of `ChatCompleted`."""
        return f"{self.prefix}chat-completed"

    @property
    def feedback_submitted(self) -> str:
        """Give the topic of `FeedbackSubmitted` and `FeedbackWithdrawn`."""
        return f"{self.prefix}feedback-submitted"

    @property
    def feedback_logged(self) -> str:
        """Give the topic of the receipts, `FeedbackLogged`."""
        return f"{self.prefix}feedback-logged"

    @property
    def dead_letter(self) -> str:
        """Give the topic of what could not be logged."""
        return f"{self.prefix}feedback-dead-letter"

    @property
    def retries(self) -> dict[timedelta, str]:
        """Give the topics of parked records by their delay, one fixed delay each, the shortest first."""
        return {delay_of(label): f"{self.prefix}feedback-retry-{label}" for label in self.retry_delays}

    def specs(self) -> tuple[TopicSpec, ...]:
        """Give all topics with their configuration."""
        # The broker's clock: a producer's own would agree with whatever it writes into submitted_at.
        clock = {"message.timestamp.type": "LogAppendTime"}
        events = {"retention.ms": str(KEEP_EVENTS_MS), "max.message.bytes": str(EVENT_BYTES)} | clock
        parked = {"retention.ms": str(KEEP_EVENTS_MS), "max.message.bytes": str(ENVELOPE_BYTES)}
        return (
            TopicSpec(self.chat_completed, "ChatCompleted events", events),
            TopicSpec(self.feedback_submitted, "FeedbackSubmitted and FeedbackWithdrawn events", events),
            TopicSpec(self.feedback_logged, "FeedbackLogged receipts, one for every outcome", events),
            TopicSpec(self.dead_letter, "what could not be logged, with the reason", parked),
            *(
                TopicSpec(name, f"what is tried again {label} later", parked)
                for label, name in zip(self.retry_delays, self.retries.values(), strict=True)
            ),
        )
