"""What crosses the wire: events, topics, headers, limits, identity, and a publisher."""

from contracts.events import (
    AssessmentInput,
    AssessmentRef,
    ChatCompleted,
    FeedbackLogged,
    FeedbackSubmitted,
    FeedbackWithdrawn,
    Source,
)
from contracts.identity import assessment_id, feedback_id
from contracts.topics import Topics

__all__ = [
    "AssessmentInput",
    "AssessmentRef",
    "ChatCompleted",
    "FeedbackLogged",
    "FeedbackSubmitted",
    "FeedbackWithdrawn",
    "Source",
    "Topics",
    "assessment_id",
    "feedback_id",
]
