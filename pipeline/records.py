"""A record as Kafka holds it, and how often it was tried before."""

from dataclasses import dataclass
from datetime import UTC, datetime
from typing import Final

from contracts import limits
from contracts.headers import Headers
from contracts.topics import ENVELOPE_BYTES
from pipeline.outcomes import ParkReason

Names = tuple[tuple[str, str], ...]
"""Assessments of an event, each by kind and name."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Visit:
    """Which attempt at a record this is.

    ``attempt`` counts from 1; ``first_seen`` is when the first was, None in the first; ``reason`` is why it
    was parked, and ``names`` are the assessments that still wait, None for all.
    """

    attempt: int = 1
    first_seen: datetime | None = None
    reason: ParkReason | None = None
    names: Names | None = None


ROOM: Final = ENVELOPE_BYTES - 64 * 1024
"""Bytes that a record may take when it is parked or becomes a dead letter, beside what we say of it."""

FIRST_VISIT: Final = Visit()

_LATEST: Final = int(datetime(limits.LAST_YEAR, 1, 1, tzinfo=UTC).timestamp() * 1000)
"""Whoever may set a record's time may set any."""


@dataclass(slots=True)  # frozen, it takes twice as long to make
class Record:
    """One record, byte for byte; a header's key that is not UTF-8 holds its bytes as surrogate escapes.

    ``timestamp`` is the record's own time in milliseconds since 1970. A parked record is the original again,
    with the original's topic, partition, offset and time.
    """

    topic: str
    partition: int
    offset: int
    timestamp: int
    key: bytes | None
    value: bytes | None
    headers: Headers = ()
    visit: Visit = FIRST_VISIT

    @property
    def size(self) -> int:
        """Give the most bytes that it takes to write it again, header keys that are not UTF-8 in base64."""
        # As pairs of base64 in JSON: brackets, quotes and padding come to some twenty bytes a pair.
        headers = sum(len(key) * 4 + len(value or b"") * 4 // 3 + 20 for key, value in self.headers)
        return len(self.key or b"") + len(self.value or b"") + headers

    @property
    def recorded_at(self) -> datetime:
        """Give the record's own time, or the nearest that a datetime holds."""
        return datetime.fromtimestamp(min(max(self.timestamp, 0), _LATEST) / 1000, UTC)
