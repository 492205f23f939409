"""From what was asked to the event that is published: who may say what about what."""

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime
from typing import Any, assert_never
from uuid import UUID, uuid5

from apps.feedback_api.callers import Caller, OpenCaller, PageCaller, ServiceCaller
from apps.feedback_api.models import FeedbackIn, WithdrawalIn
from apps.feedback_api.problems import ProblemError
from contracts.events import FeedbackEvent, FeedbackSubmitted, FeedbackWithdrawn
from contracts.identity import NAMESPACE
from contracts.parse import validate

Asked = FeedbackIn | WithdrawalIn


@dataclass(frozen=True, slots=True)
class Stamp:
    """What the server gives to each event, not the sender."""

    event_id: UUID
    at: datetime


@dataclass(frozen=True, slots=True)
class About:
    """What an event is about, as far as it is known."""

    client_request_id: str | None
    trace_id: str | None

    @property
    def is_complete(self) -> bool:
        """Tell whether both are known."""
        return None not in {self.client_request_id, self.trace_id}


def granted(caller: PageCaller) -> About:
    """Give what a token is for."""
    return About(caller.grant.client_request_id, caller.grant.trace_id)


def about(asked: Asked, allowed: About | None) -> About:
    """Say what it is about: with a token what the token is for, and nothing else.

    Args:
        asked: what may name a request or a trace.
        allowed: what a token is for; None where there is none.

    Raises:
        ProblemError: 403 for another request than the token's.

    """
    given = About(asked.client_request_id, asked.trace_id)
    if allowed is None:
        return given
    if given.client_request_id not in {None, allowed.client_request_id}:
        raise ProblemError(403, "client_request_id: the token is for another request")
    if given.trace_id not in {None, allowed.trace_id}:
        raise ProblemError(403, "trace_id: the token is for another trace")
    return allowed


def event(asked: Asked, caller: Caller, place: About, stamp: Stamp) -> FeedbackEvent:
    """Give the event of what was asked.

    Raises:
        ProblemError: 403 for what the caller may not say.
        ContractError: naming field and limit.

    """
    if isinstance(asked, FeedbackIn):
        return _submitted(asked, caller, place, stamp)
    return _withdrawn(asked, caller, place, stamp)


def _submitted(asked: FeedbackIn, caller: Caller, place: About, stamp: Stamp) -> FeedbackSubmitted:
    _check_names([part.name for part in asked.assessments], caller)
    if isinstance(caller, PageCaller) and any(part.kind != "feedback" for part in asked.assessments):
        raise ProblemError(403, "assessments: a page gives feedback, no expectations")
    said = [part.model_dump(exclude_none=True) for part in asked.assessments]
    fields = _common(asked, caller, place, stamp) | {"assessments": said, "metadata": asked.metadata}
    return validate(FeedbackSubmitted, fields, forbid_unknown=True)


def _withdrawn(asked: WithdrawalIn, caller: Caller, place: About, stamp: Stamp) -> FeedbackWithdrawn:
    _check_names([ref.name for ref in asked.names], caller)
    names = [ref.model_dump() for ref in asked.names]
    fields = _common(asked, caller, place, stamp) | {"names": names}
    return validate(FeedbackWithdrawn, fields, forbid_unknown=True)


def _common(asked: Asked, caller: Caller, place: About, stamp: Stamp) -> dict[str, Any]:
    return {
        "event_id": stamp.event_id,
        "submitted_at": stamp.at,
        "client_request_id": place.client_request_id,
        "trace_id": place.trace_id,
        "span_id": asked.span_id,
        "source": _source(asked, caller),
        "feedback_id": _feedback_id(asked, caller),
    }


def _source(asked: Asked, caller: Caller) -> dict[str, Any]:
    given = asked.source
    match caller:
        case PageCaller(grant):
            if given is not None and given.type != "HUMAN":
                raise ProblemError(403, "source.type: who has a feedback token is HUMAN")
            if given is not None and given.id not in {None, grant.user}:
                raise ProblemError(403, "source.id: the token is for another user")
            return {"type": "HUMAN", "id": grant.user}
        case ServiceCaller():
            return given.model_dump() if given else {"type": "HUMAN"}
        case OpenCaller(user):
            return given.model_dump() if given else {"type": "HUMAN", "id": user}
        case other:
            assert_never(other)


def _feedback_id(asked: Asked, caller: Caller) -> str | None:
    if not isinstance(caller, PageCaller):
        return asked.feedback_id
    if caller.grant.user is not None:
        return None  # the user is who says it: an id of the page's would make the same person two
    if asked.feedback_id is None:
        msg = "feedback_id: is missing; the token names no user, so send one id for each answer"
        raise ProblemError(422, msg)
    # Not the page's own: that could be a user's id, and who is not signed in would speak for them.
    return str(uuid5(NAMESPACE, f"page|{asked.feedback_id}"))


def _check_names(names: Sequence[str], caller: Caller) -> None:
    if isinstance(caller, PageCaller) and (wrong := set(names) - set(caller.grant.names)):
        # A name that was allowed is no secret, one that was sent may be anything.
        allowed = ", ".join(caller.grant.names)
        raise ProblemError(
            403, f"{len(wrong)} of the names are not allowed by the token; it allows {allowed}"
        )


def event_id_of(caller: str, key: str, index: int) -> UUID:
    """Derive the event's id from an Idempotency-Key: a retry is the same event, whoever takes it."""
    return uuid5(NAMESPACE, f"api|{caller}|{key}|{index}")
