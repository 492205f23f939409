"""What people say of the answers, by the tables: totals, over time, by version and region, complaints."""

import asyncio
import time
from collections import Counter
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from typing import Any, Final

from psycopg.errors import UndefinedTable
from pydantic_core import from_json

from pipeline.adapters.postgres import Pool, connection

GOOD: Final = 0.6
"""From which number on an assessment is positive: three of five."""

_BUCKETS: Final = 60
_COMMENTS: Final = 20
_MOST: Final = 100_000
_SELECT: Final = b"""
SELECT f.version, f.name, f.payload, f.trace_id, f.client_request_id, c.app_version, c.region
FROM feedback f LEFT JOIN chats c USING (client_request_id)
WHERE f.version > %s AND f.state = 1 AND f.kind = 'feedback'
ORDER BY f.version DESC LIMIT %s
"""


@dataclass(frozen=True, slots=True)
class Said:
    """One assessment that stands in MLflow."""

    at: datetime
    name: str
    value: Any
    comment: str | None
    trace_id: str | None
    client_request_id: str | None
    app_version: str | None
    region: str | None

    @property
    def is_positive(self) -> bool | None:
        """Tell whether it is praise; None where that cannot be said."""
        if not self.name.startswith("user_"):
            return None
        if isinstance(self.value, bool):
            return self.value
        return self.value >= GOOD if isinstance(self.value, int | float) else None


class Insights:
    """Asks the tables, once for all who ask at a time.

    Args:
        pool: of Postgres.
        trace_url: where a browser sees a trace, with ``{trace_id}``.

    """

    def __init__(self, pool: Pool, trace_url: str | None) -> None:
        self._pool = pool
        self._trace_url = trace_url
        self._known: dict[int, tuple[float, dict[str, Any]]] = {}
        self._turn = asyncio.Lock()

    async def of(self, minutes: int) -> dict[str, Any]:
        """Give what came in within the last minutes.

        Raises:
            DependencyAwayError: when Postgres is away.

        """
        asked = time.monotonic()
        async with self._turn:
            known = self._known.get(minutes)
            # Only what was read after it was asked for: a page asks because of a receipt, perhaps the last.
            if known is not None and known[0] >= asked:
                return known[1]
            began, now = time.monotonic(), datetime.now(UTC)
            found = summary(await self._said(now - timedelta(minutes=minutes)), minutes, now, self._trace_url)
            self._known = {minutes: (began, found)}
            return found

    async def _said(self, since: datetime) -> list[Said]:
        try:
            async with connection(self._pool) as conn:
                rows = await (await conn.execute(_SELECT, [since, _MOST])).fetchall()
        except UndefinedTable:
            return []
        said = []
        for at, name, payload, *about in rows:
            version = from_json(payload)
            said.append(Said(at, name, version.get("value"), version.get("rationale"), *about))
        return said


def summary(said: Sequence[Said], minutes: int, now: datetime, trace_url: str | None) -> dict[str, Any]:
    """Sum up what was said, the newest first, within the minutes before now."""
    judged = [(one, one.is_positive) for one in said]
    positive = sum(good is True for _, good in judged)
    negative = sum(good is False for _, good in judged)
    complaints = [one for one, good in judged if good is False and one.comment][:_COMMENTS]
    return {
        "now": now.isoformat(),
        "minutes": minutes,
        "total": len(said),
        "positive": positive,
        "negative": negative,
        "rate": round(positive / (positive + negative), 4) if positive + negative else None,
        "over_time": _over_time(judged, minutes, now),
        "by_version": _by([(one.app_version, good) for one, good in judged]),
        "by_region": _by([(one.region, good) for one, good in judged]),
        "comments": [_comment(one, trace_url) for one in complaints],
    }


def _over_time(
    judged: Sequence[tuple[Said, bool | None]], minutes: int, now: datetime
) -> list[dict[str, Any]]:
    count = min(minutes, _BUCKETS)
    width = timedelta(minutes=minutes) / count
    start = now - timedelta(minutes=minutes)
    counted: Counter[tuple[int, bool | None]] = Counter(
        (min(count - 1, max(0, (one.at - start) // width)), good) for one, good in judged
    )
    return [
        {
            "at": (start + number * width).isoformat(),
            "positive": counted[number, True],
            "negative": counted[number, False],
        }
        for number in range(count)
    ]


def _by(judged: Sequence[tuple[str | None, bool | None]]) -> list[dict[str, Any]]:
    counted = Counter((key, good) for key, good in judged if key is not None and good is not None)
    keys = sorted({key for key, _ in counted})
    return [{"key": key, "positive": counted[key, True], "negative": counted[key, False]} for key in keys]


def _comment(one: Said, trace_url: str | None) -> Mapping[str, Any]:
    return {
        "at": one.at.isoformat(),
        "comment": one.comment,
        "name": one.name,
        "value": one.value,
        "trace_id": one.trace_id,
        "client_request_id": one.client_request_id,
        "app_version": one.app_version,
        "region": one.region,
        "mlflow_url": trace_url.format(trace_id=one.trace_id) if trace_url and one.trace_id else None,
    }
