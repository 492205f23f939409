"""Idempotency keys: what this process has seen of them.

The event's id is derived from the key, so that any process makes the same event of a retry. What a process
remembers besides is when the event was given, as a retry must not count as newer than what came between, and
what it said, as a key is for one request alone. It is forgotten after a day, at a restart, and beyond
100,000 keys.
"""

from collections import OrderedDict
from dataclasses import dataclass
from datetime import datetime, timedelta
from typing import Final

from apps.feedback_api.problems import ProblemError

_KEPT: Final = timedelta(days=1)
_MOST: Final = 100_000
LENGTH: Final = 255


@dataclass(frozen=True, slots=True)
class _Seen:
    digest: bytes
    at: datetime


class SeenKeys:
    """The keys of one process."""

    def __init__(self, most: int = _MOST) -> None:
        self._most = most
        self._seen: OrderedDict[tuple[str, str], _Seen] = OrderedDict()

    def time_of(self, caller: str, key: str, digest: bytes, *, now: datetime) -> datetime:
        """Give when the request with this key was first made: now, where it is new.

        Raises:
            ProblemError: 409 when it asked for something else; 422 for a key that is none.

        """
        if not 0 < len(key) <= LENGTH:
            raise ProblemError(422, f"Idempotency-Key: must have 1 to {LENGTH} characters")
        self._forget(now)
        if (caller, key) not in self._seen and len(self._seen) >= self._most:
            self._seen.popitem(last=False)
        seen = self._seen.setdefault((caller, key), _Seen(digest, now))
        if seen.digest != digest:
            raise ProblemError(
                409, "Idempotency-Key: it was used for another request; make a new one for each"
            )
        return seen.at

    def forget(self, caller: str, key: str) -> None:
        """Forget a request: nothing came of it."""
        self._seen.pop((caller, key), None)

    def _forget(self, now: datetime) -> None:
        while self._seen and next(iter(self._seen.values())).at <= now - _KEPT:
            self._seen.popitem(last=False)

    def __len__(self) -> int:
        """Count them."""
        return len(self._seen)
