"""claim: of all versions of a feedback only the newest goes on, and only while it is not settled."""

from collections.abc import Iterable
from typing import assert_never
from uuid import UUID

from pipeline.outcomes import Dead, Logged, Settled, Superseded, Withdrawn
from pipeline.ports import Standing
from pipeline.versions import Version


def newest(versions: Iterable[Version]) -> dict[UUID, Version]:
    """Give the newest version of each feedback in a batch; a version that comes twice counts once."""
    found: dict[UUID, Version] = {}
    for version in versions:
        known = found.get(version.feedback_id)
        if known is None or version.order > known.order:
            found[version.feedback_id] = version
    return found


def judge(version: Version, standing: Standing) -> Settled | None:
    """Say what a claimed version has become already, or None when there is work to do on it.

    A version that is settled gets its outcome again, also when a newer one has come since: its receipt may
    have been lost in a crash.
    """
    if standing.order != version.order:
        return standing.past.get(version.event_id, Superseded())
    match standing.state:
        case "open":
            return None
        case "logged":
            return Logged(standing.trace_id or "", version.assessment_id)
        case "withdrawn":
            return Withdrawn(standing.trace_id, version.assessment_id)
        case "dead":
            return standing.dead or Dead("unresolved", "")
        case _:
            assert_never(standing.state)
