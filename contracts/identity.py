"""Who said something about what: the identity of a feedback, the same in every language."""

import json
from typing import Final
from uuid import UUID, uuid5

NAMESPACE: Final = UUID("6f7a1f0e-5f0b-5f6c-9b64-0f3f4c1e7a52")
"""UUID namespace of every id that is derived here; it must never change."""


def feedback_id(  # noqa: PLR0913 - the seven parts are the identity; a shorter list would be another one
    *,
    reference: str,
    span_id: str | None,
    kind: str,
    name: str,
    source_type: str,
    who: str,
) -> UUID:
    """Derive the id of one feedback: UUIDv5 of a compact JSON array in UTF-8.

    Args:
        reference: the client_request_id where the event has one, else the trace_id (``tr-…``).
        span_id: the span, or None for the whole trace.
        kind: ``feedback`` or ``expectation``.
        name: the assessment's name.
        source_type: ``HUMAN``, ``LLM_JUDGE`` or ``CODE``.
        who: the event's feedback_id where it has one, else source.id, else event_id.

    """
    parts = ["v1", reference, span_id, kind, name, source_type, who]
    return uuid5(NAMESPACE, json.dumps(parts, ensure_ascii=False, separators=(",", ":")))


def assessment_id(feedback: UUID) -> str:
    """Give the id of the feedback's assessment in MLflow: ``a-`` and 32 hex digits."""
    return f"a-{feedback.hex}"


def receipt_id(event_id: UUID, feedback: UUID, outcome: str) -> UUID:
    """Give the id of a receipt, the same again when the outcome is told again after a redelivery."""
    return uuid5(NAMESPACE, f"receipt|{event_id}|{feedback}|{outcome}")
