"""Who asks, and what they may say."""

import hmac
from collections.abc import Mapping
from dataclasses import dataclass
from datetime import datetime
from typing import Final

from apps.feedback_api.problems import ProblemError
from apps.feedback_api.tokens import Grant, TokenError, TokenKeys

_CHALLENGE: Final = {"WWW-Authenticate": "Bearer"}


@dataclass(frozen=True, slots=True)
class PageCaller:
    """A page with a token: a person, about one answer."""

    grant: Grant

    @property
    def name(self) -> str:
        """Give what tells callers apart, for idempotency keys."""
        grant = self.grant
        return f"page:{grant.user or ''}:{grant.client_request_id or grant.trace_id or ''}"

    @property
    def counted_as(self) -> str:
        """Give whose rate it is: a user's, whichever of their answers it is about."""
        return self.name if self.grant.user is None else f"user:{self.grant.user}"

    @property
    def user(self) -> str | None:
        """Give whose feedback it is."""
        return self.grant.user


@dataclass(frozen=True, slots=True)
class ServiceCaller:
    """A trusted service: anything, about anything, as anybody."""

    service: str

    @property
    def name(self) -> str:
        """Give what tells callers apart."""
        return f"service:{self.service}"

    @property
    def user(self) -> str | None:
        """Give nobody: it says itself who gives the feedback."""
        return None


@dataclass(frozen=True, slots=True)
class OpenCaller:
    """Anybody, where the settings say so."""

    user: str | None

    @property
    def name(self) -> str:
        """Give what tells callers apart, as far as they say it themselves."""
        return f"open:{self.user or ''}"

    @property
    def counted_as(self) -> str:
        """Give whose rate it is."""
        return self.name


Caller = PageCaller | ServiceCaller | OpenCaller


@dataclass(frozen=True, slots=True)
class Trust:
    """Whom we trust."""

    tokens: TokenKeys
    services: Mapping[str, str]
    is_open: bool

    def caller(
        self, *, token: str | None, authorization: str | None, user: str | None, now: datetime
    ) -> Caller:
        """Say who asks; a token or key that is wrong is refused, also where none is needed.

        Raises:
            ProblemError: 401.

        """
        if authorization is not None:
            return self._service(authorization)
        if token is not None:
            try:
                return PageCaller(self.tokens.read(token, now=now))
            except TokenError as error:
                raise ProblemError(401, str(error), headers=_CHALLENGE) from None
        if self.is_open:
            return OpenCaller(user)
        msg = "a feedback token (X-Feedback-Token) or a service's key (Authorization: Bearer) is needed"
        raise ProblemError(401, msg, headers=_CHALLENGE)

    def _service(self, authorization: str) -> ServiceCaller:
        scheme, _, given = authorization.partition(" ")
        found = None
        for name, secret in self.services.items():  # all of them, so that the time tells nothing
            if hmac.compare_digest(given.strip().encode(), secret.encode()):
                found = name
        if scheme.lower() != "bearer" or found is None:
            raise ProblemError(401, "the service's key is not one of ours", headers=_CHALLENGE)
        return ServiceCaller(found)
