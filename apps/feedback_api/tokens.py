"""Feedback tokens: what a page may say, about which answer, as whom, and until when; a signed JWT."""

from collections.abc import Mapping
from dataclasses import dataclass
from datetime import UTC, datetime
from typing import Any, Final

import jwt

_ALGORITHM: Final = "HS256"
_AUDIENCE: Final = "feedback"
_LENGTH: Final = 4096


class TokenError(ValueError):
    """A token is not ours, or no longer good; the message says which, and nothing of the token."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Grant:
    """What a token allows.

    Args:
        client_request_id: the request that feedback may be about.
        trace_id: its trace.
        user: who gives the feedback; none where nobody is signed in.
        names: the assessments that may be given.
        expires_at: until when.

    """

    client_request_id: str | None
    trace_id: str | None
    user: str | None
    names: tuple[str, ...]
    expires_at: datetime


class TokenKeys:
    """Signs with the first key and trusts all: a new one is put first, old ones outlive their tokens."""

    def __init__(self, keys: Mapping[str, str]) -> None:
        self._keys = dict(keys)

    def sign(self, grant: Grant) -> str:
        """Give the token of a grant.

        Raises:
            ValueError: when it would be too long.

        """
        name, secret = next(iter(self._keys.items()))
        claims = {
            "aud": _AUDIENCE,
            "exp": int(grant.expires_at.timestamp()),
            "rid": grant.client_request_id,
            "tid": grant.trace_id,
            "sub": grant.user,
            "names": list(grant.names),
        }
        said = {key: value for key, value in claims.items() if value is not None}
        token = jwt.encode(said, secret, algorithm=_ALGORITHM, headers={"kid": name})
        if len(token) > _LENGTH:
            msg = (
                f"a feedback token of {len(token)} characters: at most {_LENGTH} are read; allow fewer names"
            )
            raise ValueError(msg)
        return token

    def read(self, token: str, *, now: datetime) -> Grant:
        """Give what a token allows.

        Raises:
            TokenError: when it is not signed by one of our keys, or has expired.

        """
        try:
            claims = jwt.decode(
                token if len(token) <= _LENGTH else "",
                self._secret(token),
                algorithms=[_ALGORITHM],
                audience=_AUDIENCE,
                # The clock is the caller's, below.
                options={"require": ["exp", "names"], "verify_exp": False},
            )
            grant = _grant(claims)
        except (jwt.PyJWTError, TypeError, ValueError, OverflowError) as error:
            msg = "the feedback token is not one of ours"
            raise TokenError(msg) from error
        if grant.expires_at <= now:
            msg = "the feedback token has expired"
            raise TokenError(msg)
        return grant

    def _secret(self, token: str) -> str:
        name = jwt.get_unverified_header(token[:_LENGTH]).get("kid")
        if not isinstance(name, str) or name not in self._keys:
            msg = "no such key"
            raise TokenError(msg)
        return self._keys[name]


def _grant(claims: Mapping[str, Any]) -> Grant:
    return Grant(
        client_request_id=claims.get("rid"),
        trace_id=claims.get("tid"),
        user=claims.get("sub"),
        names=tuple(claims["names"]),
        expires_at=datetime.fromtimestamp(int(claims["exp"]), UTC),
    )
