"""What people say of the answers, by the tables: totals, over time, by version and region, complaints."""

import asyncio
import time
from collections.abc import Iterable, Mapping, Sequence
from datetime import UTC, datetime, timedelta
from typing import Any, Final, NamedTuple

from psycopg.errors import UndefinedTable

from pipeline.adapters.postgres import Pool, connection

GOOD: Final = 0.6
"""From which number on an assessment is positive: three of five."""

MOST: Final = 100_000
"""How many are summed up, the newest: with a million in the period, Postgres takes one or two seconds."""

_BUCKETS: Final = 60
_COMMENTS: Final = 20
# Summed up by Postgres: a hundred thousand rows in Python would hold up every stream of the process.
_SELECT: Final = b"""
WITH oldest AS (
    SELECT min(version) AS version FROM (
        SELECT version FROM feedback
        WHERE version > %(since)s AND state = 1 AND kind = 'feedback'
        ORDER BY version DESC LIMIT %(most)s
    ) AS newest
), newest AS (
    SELECT version, name, payload::jsonb AS body, trace_id, client_request_id, source_type
    FROM feedback
    WHERE version >= (SELECT version FROM oldest) AND state = 1 AND kind = 'feedback'
), said AS MATERIALIZED (
    SELECT version AS at, name, body -> 'value' AS value, body ->> 'rationale' AS comment,
        newest.trace_id, client_request_id, app_version, region,
        least(%(buckets)s - 1, greatest(0, floor(extract(epoch FROM version - %(since)s) / %(width)s)))::int
            AS bucket,
        CASE WHEN source_type = 'HUMAN' THEN CASE
            WHEN jsonb_typeof(body -> 'value') = 'boolean' THEN (body -> 'value')::boolean
            WHEN jsonb_typeof(body -> 'value') = 'number' AND starts_with(name, 'user_')
                THEN (body -> 'value')::float8 >= %(good)s
        END END AS is_positive
    FROM newest LEFT JOIN chats USING (client_request_id)
)
SELECT grouping(bucket, app_version, region), bucket, app_version, region, count(*),
    count(*) FILTER (WHERE is_positive), count(*) FILTER (WHERE NOT is_positive), NULL::jsonb
FROM said GROUP BY GROUPING SETS ((bucket), (app_version), (region), ())
UNION ALL (
    SELECT -1, NULL, NULL, NULL, 0, 0, 0,
        jsonb_build_object('at', at, 'comment', comment, 'name', name, 'value', value, 'trace_id', trace_id,
            'client_request_id', client_request_id, 'app_version', app_version, 'region', region)
    FROM said WHERE NOT is_positive AND comment <> '' ORDER BY at DESC LIMIT %(comments)s
)
"""
_COMPLAINT, _BY_BUCKET, _BY_VERSION, _BY_REGION, _ALL = -1, 0b011, 0b101, 0b110, 0b111


class _Row(NamedTuple):
    of: int
    bucket: int
    app_version: str | None
    region: str | None
    total: int
    positive: int
    negative: int
    complaint: dict[str, Any]


class Insights:
    """Asks the tables, once for all who ask at a time.

    Args:
        pool: of Postgres.
        trace_url: where a browser sees a trace, with ``{trace_id}``.
        most: how many are summed up, the newest.

    """

    def __init__(self, pool: Pool, trace_url: str | None, most: int = MOST) -> None:
        self._pool = pool
        self._trace_url = trace_url
        self._most = most
        self._known: dict[int, tuple[float, dict[str, Any]]] = {}
        self._turn = asyncio.Lock()

    async def of(self, minutes: int) -> dict[str, Any]:
        """Give what came in within the last minutes; ``newest_only`` is a number where there was more.

        Judged is what people say: true or false of any name, and numbers of the names ``user_…``. What a
        model or a program says is in the total only.

        Raises:
            DependencyAwayError: when Postgres is away.

        """
        asked = time.monotonic()
        async with self._turn:
            known = self._known.get(minutes)
            # Only what was read after it was asked for: a page asks because of a receipt, perhaps the last.
            if known is not None and known[0] >= asked:
                return known[1]
            began = time.monotonic()
            found = await self._summary(minutes, datetime.now(UTC))
            self._known = {minutes: (began, found)}
            return found

    async def _summary(self, minutes: int, now: datetime) -> dict[str, Any]:
        since, count = now - timedelta(minutes=minutes), min(minutes, _BUCKETS)
        width = timedelta(minutes=minutes) / count
        rows = await self._rows(
            since=since,
            most=self._most,
            buckets=count,
            width=width.total_seconds(),
            good=GOOD,
            comments=_COMMENTS,
        )
        (every,) = [row for row in rows if row.of == _ALL] or [_Row(_ALL, 0, None, None, 0, 0, 0, {})]
        judged = every.positive + every.negative
        buckets = {row.bucket: row for row in rows if row.of == _BY_BUCKET}
        complaints = [row.complaint for row in rows if row.of == _COMPLAINT]
        return {
            "now": now.isoformat(),
            "minutes": minutes,
            "total": every.total,
            "newest_only": every.total if every.total >= self._most else None,
            "positive": every.positive,
            "negative": every.negative,
            "rate": round(every.positive / judged, 4) if judged else None,
            "over_time": [_bucket(since + number * width, buckets.get(number)) for number in range(count)],
            "by_version": _by((row.app_version, row) for row in rows if row.of == _BY_VERSION),
            "by_region": _by((row.region, row) for row in rows if row.of == _BY_REGION),
            "comments": [self._comment(one) for one in complaints],
        }

    async def _rows(self, **given: object) -> Sequence[_Row]:
        try:
            async with connection(self._pool) as conn:
                return [_Row(*row) for row in await (await conn.execute(_SELECT, given)).fetchall()]
        except UndefinedTable:
            return []

    def _comment(self, one: Mapping[str, Any]) -> dict[str, Any]:
        trace_id, at = one["trace_id"], datetime.fromisoformat(one["at"]).astimezone(UTC)
        url = self._trace_url.format(trace_id=trace_id) if self._trace_url and trace_id else None
        return {**one, "at": at.isoformat(), "mlflow_url": url}


def _bucket(at: datetime, row: _Row | None) -> dict[str, Any]:
    positive, negative = (row.positive, row.negative) if row else (0, 0)
    return {"at": at.isoformat(), "positive": positive, "negative": negative}


def _by(rows: Iterable[tuple[str | None, _Row]]) -> list[dict[str, Any]]:
    judged = {key: row for key, row in rows if key is not None and row.positive + row.negative}
    return [
        {"key": key, "positive": row.positive, "negative": row.negative}
        for key, row in sorted(judged.items())
    ]
