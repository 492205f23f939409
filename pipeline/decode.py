"""decode: records to versions, record by record."""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import cast

from contracts.events import FeedbackEvent
from contracts.parse import FEEDBACK_EVENTS, ContractError, parse_event
from pipeline.outcomes import Dead
from pipeline.ports import DeadLetter
from pipeline.records import ROOM, Names, Record
from pipeline.redaction import NO_REDACTION, Redaction, RedactionFailedError
from pipeline.versions import Version, versions_of


@dataclass(frozen=True, slots=True)
class Decoded:
    """A record and the versions that it carries, one for each assessment that has no outcome yet."""

    record: Record
    versions: tuple[Version, ...]


def decode(
    records: Sequence[Record], redaction: Redaction = NO_REDACTION
) -> tuple[list[Decoded], list[DeadLetter]]:
    """Decode a batch: the records that are feedback, redacted, and those that are dead letters already."""
    decoded, dead_letters = [], []
    for record in records:
        if record.size > ROOM:
            detail = f"the record: has {record.size} bytes with its headers; the limit is {ROOM}"
            dead_letters.append(DeadLetter(record, Dead("undecodable", detail)))
            continue
        try:
            event = parse_event(record.value, FEEDBACK_EVENTS, recorded_at=record.recorded_at)
            versions = versions_of(redaction.event(cast("FeedbackEvent", event)))
        except ContractError as error:
            dead_letters.append(DeadLetter(record, Dead("undecodable", str(error))))
        except RedactionFailedError as error:
            dead_letters.append(DeadLetter(record, Dead("unredacted", str(error)), record.visit.names or ()))
        else:
            decoded.append(Decoded(record, tuple(v for v in versions if _waits(v, record.visit.names))))
    return decoded, dead_letters


def _waits(version: Version, names: Names | None) -> bool:
    """Tell whether a version of a parked record still waits; the others had their outcome before."""
    return names is None or (version.kind, version.name) in names
