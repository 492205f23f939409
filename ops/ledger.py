"""The ledger of a run: what was published, what became of it, and whether MLflow agrees."""

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import asdict, dataclass
from typing import Any
from uuid import UUID

import mlflow

from contracts.events import FeedbackEvent, FeedbackLogged
from contracts.headers import split_dead_letter
from contracts.identity import assessment_id
from pipeline.claim import newest
from pipeline.records import Record
from pipeline.versions import Version, versions_of

Unit = tuple[UUID, UUID]
"""One assessment of one event: event_id and feedback_id."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Ledger:
    """Counts of assessments of events; a record that broke the contract counts as one, published and dead.

    ``published`` = ``logged`` + ``superseded`` + ``withdrawn`` + ``dead`` once all is settled. ``records`` is
    what Kafka holds, doubles included; ``lag`` is what no consumer has committed yet.
    """

    published: int
    logged: int
    superseded: int
    withdrawn: int
    dead: int
    lag: int
    seconds: float
    records: int
    differences: tuple[str, ...] = ()

    @property
    def settled(self) -> int:
        """Give how many assessments have their outcome."""
        return self.logged + self.superseded + self.withdrawn + self.dead

    @property
    def is_settled(self) -> bool:
        """Tell whether every assessment that was published has its one outcome."""
        return self.lag == 0 and self.settled == self.published

    @property
    def is_right(self) -> bool:
        """Tell whether all is settled and MLflow holds exactly what the ledger says."""
        return self.is_settled and not self.differences

    def as_dict(self) -> dict[str, Any]:
        """Give the ledger for one line of JSON."""
        return asdict(self)


def units_of(events: Iterable[FeedbackEvent]) -> dict[Unit, Version]:
    """Give the assessments of events; an event that was sent twice counts once."""
    return {
        (version.event_id, version.feedback_id): version for event in events for version in versions_of(event)
    }


def outcomes_of(units: Mapping[Unit, Version], receipts: Iterable[FeedbackLogged]) -> dict[Unit, str]:
    """Give the outcome of each unit that has a receipt; told again as superseded, it stays what it was."""
    outcomes: dict[Unit, str] = {}
    for receipt in receipts:
        unit = receipt.event_id, receipt.feedback_id
        if unit in units and outcomes.get(unit, "superseded") == "superseded":
            outcomes[unit] = receipt.outcome
    return outcomes


def undecodable(dead_letters: Iterable[Record]) -> int:
    """Count the records that broke the contract, each once however often it was dead-lettered."""
    origins = set()
    for record in dead_letters:
        _, said = split_dead_letter(record.headers)
        if said.reason == "undecodable":
            origins.add((said.origin_topic, said.origin_partition, said.origin_offset))
    return len(origins)


def expected_assessments(units: Mapping[Unit, Version], outcomes: Mapping[Unit, str]) -> dict[str, Version]:
    """Give by assessment_id what MLflow must hold: of each feedback the newest version, if it was logged."""
    return {
        assessment_id(key): version
        for key, version in newest(units.values()).items()
        if outcomes.get((version.event_id, key)) == "logged"
    }


def assessments_of(experiments: Sequence[str], traces: Iterable[str]) -> dict[str, tuple[str, Any]]:
    """Ask MLflow for all assessments of some traces: by assessment_id the trace and the assessment."""
    wanted = set(traces)
    found: dict[str, tuple[str, Any]] = {}
    for trace in mlflow.search_traces(locations=list(experiments), include_spans=False, return_type="list"):
        if trace.info.trace_id in wanted:
            for assessment in trace.info.assessments:
                found[str(assessment.assessment_id)] = trace.info.trace_id, assessment
    return found


def differences(
    expected: Mapping[str, Version], actual: Mapping[str, tuple[str, Any]], trace_of: Mapping[str, str]
) -> list[str]:
    """Say where MLflow differs from the ledger, assessment by assessment.

    Args:
        expected: by assessment_id, the version that MLflow must hold.
        actual: by assessment_id, the trace and the assessment that it does hold.
        trace_of: the trace of each client_request_id.

    """
    found = [f"{key}: missing in MLflow" for key in expected.keys() - actual.keys()]
    found += [f"{key}: in MLflow, but not in the ledger" for key in actual.keys() - expected.keys()]
    for key in expected.keys() & actual.keys():
        version, (trace_id, assessment) = expected[key], actual[key]
        want = {
            "trace": version.trace_id or trace_of.get(version.client_request_id or ""),
            "value": version.value,
            "rationale": version.rationale or None,
            "source": (version.source_type, version.source_id or "default"),
        }
        have = {
            "trace": trace_id,
            "value": assessment.value,
            "rationale": assessment.rationale or None,
            "source": (assessment.source.source_type, assessment.source.source_id or "default"),
        }
        # The values themselves are what people wrote; the ledger names only the field.
        found += [f"{key}: {name} differs" for name in want if want[name] != have[name]]
    return found
