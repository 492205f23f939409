"""What becomes of one assessment of one event: a closed union, and the closed sets of reasons."""

from dataclasses import dataclass, field
from typing import Literal, TypeAlias

DeadReason = Literal["undecodable", "unredacted", "unresolved", "rejected"]
"""Why a record is a dead letter.

- ``undecodable``: it breaks the contract; the detail names field and limit.
- ``unredacted``: redaction failed on it, so nothing of it was stored; the detail names field and why.
- ``unresolved``: no trace was found for its request id, or its trace id is not in MLflow, in all attempts.
- ``rejected``: MLflow or its database cannot store it, while it stores others.
"""

RetryReason = Literal["no_trace", "trace_missing"]
"""Why to try again later: ``no_trace`` for the request id; ``trace_missing``: known, but not in MLflow."""

ParkReason = Literal["no_trace", "trace_missing", "look_again"]
"""Why a record is parked: a `RetryReason`, or ``look_again``: it is settled, but an older version of its
feedback may still arrive in MLflow, sent by a consumer that was frozen or killed."""

Dependency = Literal["kafka", "mlflow", "postgres"]


@dataclass(frozen=True, slots=True)
class Logged:
    """MLflow holds this version; ``is_certain`` unless an attempt had no answer and may still arrive."""

    trace_id: str
    assessment_id: str
    is_certain: bool = field(default=True, compare=False)


@dataclass(frozen=True, slots=True)
class Withdrawn:
    """The feedback is taken back; trace_id is None where nothing had ever been logged.

    ``is_certain`` as in `Logged`.
    """

    trace_id: str | None
    assessment_id: str
    is_certain: bool = field(default=True, compare=False)


@dataclass(frozen=True, slots=True)
class Superseded:
    """A newer version exists."""


@dataclass(frozen=True, slots=True)
class Retry:
    """Not yet; to be tried again."""

    reason: RetryReason


@dataclass(frozen=True, slots=True)
class Dead:
    """Never; the detail says what a person can do and never quotes the feedback."""

    reason: DeadReason
    detail: str


@dataclass(frozen=True, slots=True)
class Away:
    """Nothing is known, as something that we depend on gives no answer: wait, and look again."""

    dependency: Dependency
    detail: str


@dataclass(frozen=True, slots=True)
class Elsewhere:
    """Nothing was done, as the assessment stands on another trace: its first write was never settled."""

    trace_id: str


@dataclass(frozen=True, slots=True)
class NotBegun:
    """Nothing was done, as it was too late to begin: somebody else may have a newer version by now."""


Settled: TypeAlias = Logged | Withdrawn | Superseded | Dead
Outcome: TypeAlias = Settled | Retry
SinkOutcome: TypeAlias = Outcome | Elsewhere | Away | NotBegun


class DependencyAwayError(Exception):
    """A dependency gives no answer; whoever calls waits and calls again, which is always safe."""

    def __init__(self, dependency: Dependency, detail: str) -> None:
        super().__init__(f"{dependency} is away: {detail}")
        self.dependency: Dependency = dependency
        self.detail = detail
