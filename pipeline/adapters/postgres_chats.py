"""The chat index in Postgres: a batch in one statement."""

from collections.abc import Collection, Mapping, Sequence
from typing import Final

from psycopg.types.json import Jsonb

from contracts.events import Segment
from pipeline.adapters.postgres import Pool, connection
from pipeline.chat import Chat

_SEGMENT: Final = tuple(Segment.model_fields)

# The same decision as pipeline.chat.merge: the newer one, except that no null replaces a trace.
_NEWER = "(excluded.completed_at, excluded.event_id) > (chats.completed_at, chats.event_id)"
_NEWEST = ", ".join(
    f"{name} = CASE WHEN {_NEWER} THEN excluded.{name} ELSE chats.{name} END"
    for name in ("completed_at", "event_id", *_SEGMENT, "tags")
)
_UPSERT = f"""
INSERT INTO chats (client_request_id, trace_id, completed_at, event_id, {", ".join(_SEGMENT)}, tags)
SELECT * FROM unnest(%s::text[], %s::text[], %s::timestamptz[], %s::uuid[],
                     {", ".join(["%s::text[]"] * len(_SEGMENT))}, %s::jsonb[]) AS new (client_request_id)
ORDER BY client_request_id COLLATE "C"
ON CONFLICT (client_request_id) DO UPDATE SET
    trace_id = CASE WHEN {_NEWER} THEN coalesce(excluded.trace_id, chats.trace_id)
                    ELSE coalesce(chats.trace_id, excluded.trace_id) END,
    {_NEWEST}
WHERE {_NEWER} OR (chats.trace_id IS NULL AND excluded.trace_id IS NOT NULL)
"""  # noqa: S608 - only our own column names
_COLUMNS = f"client_request_id, trace_id, completed_at, event_id, tags, {', '.join(_SEGMENT)}"
_FIND = f"SELECT {_COLUMNS} FROM chats WHERE client_request_id = ANY(%s::text[])"  # noqa: S608 - as above
_FIND_BY_TRACE = f"SELECT {_COLUMNS} FROM chats WHERE trace_id = ANY(%s::text[])"  # noqa: S608 - as above


class PostgresChats:
    """`ChatIndex` on the table ``chats``."""

    def __init__(self, pool: Pool) -> None:
        self._pool = pool

    async def upsert(self, chats: Sequence[Chat]) -> None:
        """Merge chats in, sorted, so that concurrent batches cannot deadlock."""
        columns = [
            [chat.client_request_id for chat in chats],
            [chat.trace_id for chat in chats],
            [chat.completed_at for chat in chats],
            [chat.event_id for chat in chats],
            *[[getattr(chat.segment, name) for chat in chats] for name in _SEGMENT],
            [None if chat.tags is None else Jsonb(chat.tags) for chat in chats],
        ]
        async with connection(self._pool) as conn:
            await conn.execute(_UPSERT.encode(), columns)

    async def find(self, request_ids: Collection[str]) -> Mapping[str, Chat]:
        """Look chats up by client request id."""
        return {chat.client_request_id: chat for chat in await self._select(_FIND, request_ids)}

    async def find_by_trace(self, trace_ids: Collection[str]) -> Mapping[str, Chat]:
        """Look chats up by trace id."""
        return {
            chat.trace_id: chat for chat in await self._select(_FIND_BY_TRACE, trace_ids) if chat.trace_id
        }

    async def _select(self, statement: str, ids: Collection[str]) -> list[Chat]:
        async with connection(self._pool) as conn:
            rows = await (await conn.execute(statement.encode(), [list(ids)])).fetchall()
        return [
            Chat(
                client_request_id=request_id,
                trace_id=trace_id,
                completed_at=completed_at,
                event_id=event_id,
                segment=Segment.model_construct(**dict(zip(_SEGMENT, segment, strict=True))),
                tags=tags,
            )
            for request_id, trace_id, completed_at, event_id, tags, *segment in rows
        ]
