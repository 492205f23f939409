"""A record as Kafka holds it."""

from dataclasses import dataclass
from datetime import UTC, datetime

from contracts.headers import Headers


@dataclass(frozen=True, slots=True)
class Record:
    """One record, byte for byte; a header's key that is not UTF-8 holds its bytes as surrogate escapes.

    ``timestamp`` is the record's own time in milliseconds since 1970.
    """

    topic: str
    partition: int
    offset: int
    timestamp: int
    key: bytes | None
    value: bytes | None
    headers: Headers = ()

    @property
    def recorded_at(self) -> datetime:
        """Give the record's own time."""
        return datetime.fromtimestamp(self.timestamp / 1000, UTC)
