"""Events as JSON documents that the tests change one thing of."""

from typing import Any

Json = dict[str, Any]

SECRET = "s3cret-comment-of-a-person"  # noqa: S105 - a comment that no message may quote

CHAT: Json = {
    "type": "ChatCompleted",
    "event_id": "0b5f8a52-7f44-4d0c-8d4e-2f1f9a3c6d10",
    "client_request_id": "req-1",
    "trace_id": "tr-4bf92f3577b34da6a3ce929d0e0e4736",
    "completed_at": "2026-01-31T12:00:00Z",
    "session_id": "session-1",
    "tags": {"tenant": SECRET},
}
FEEDBACK: Json = {
    "type": "FeedbackSubmitted",
    "event_id": "0b5f8a52-7f44-4d0c-8d4e-2f1f9a3c6d11",
    "client_request_id": "req-1",
    "source": {"type": "HUMAN", "id": "anna"},
    "submitted_at": "2026-01-31T12:00:00Z",
    "metadata": {"note": SECRET},
    "assessments": [{"name": "helpful", "value": SECRET, "rationale": SECRET}],
}
WITHDRAWAL: Json = {
    "type": "FeedbackWithdrawn",
    "event_id": "0b5f8a52-7f44-4d0c-8d4e-2f1f9a3c6d12",
    "client_request_id": "req-1",
    "source": {"type": "HUMAN", "id": "anna"},
    "submitted_at": "2026-01-31T12:00:00Z",
    "names": ["helpful"],
}


def chat(**fields: object) -> Json:
    return {**CHAT, **fields}


def feedback(**fields: object) -> Json:
    return {**FEEDBACK, **fields}


def withdrawal(**fields: object) -> Json:
    return {**WITHDRAWAL, **fields}


def assessed(**fields: object) -> Json:
    """Give a feedback event whose one assessment has these fields."""
    return feedback(assessments=[{"name": "helpful", "value": SECRET, **fields}])


def without(document: Json, *fields: str) -> Json:
    return {key: value for key, value in document.items() if key not in fields}
