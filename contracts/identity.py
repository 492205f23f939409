"""Who said something about what: the identity of a feedback, the same in every language."""

import hashlib
from typing import Final
from uuid import UUID

from pydantic_core import to_json

NAMESPACE: Final = UUID("6f7a1f0e-5f0b-5f6c-9b64-0f3f4c1e7a52")
"""UUID namespace of every id that is derived here; it must never change."""

_PREFIX: Final = NAMESPACE.bytes
_VERSION_5: Final = UUID("00000000-0000-5000-8000-000000000000").int
_OTHER_BITS: Final = UUID("ffffffff-ffff-0fff-3fff-ffffffffffff").int


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
    return _uuid5(to_json(parts))


def assessment_id(feedback: UUID) -> str:
    """Give the id of the feedback's assessment in MLflow: ``a-`` and 32 hex digits."""
    return f"a-{feedback.hex}"


def receipt_id(event_id: UUID, feedback: UUID, outcome: str) -> UUID:
    """Give the id of a receipt, the same again when the outcome is told again after a redelivery."""
    return _uuid5(f"receipt|{event_id}|{feedback}|{outcome}".encode())


def _uuid5(name: bytes) -> UUID:
    # As uuid.uuid5, which reads its namespace anew each time.
    digest = hashlib.sha1(_PREFIX + name, usedforsecurity=False).digest()
    return UUID(int=int.from_bytes(digest[:16]) & _OTHER_BITS | _VERSION_5)
