"""The chat index in Postgres: a batch in one statement."""

from collections.abc import Collection, Mapping, Sequence
from typing import Final

from contracts.events import Segment
from pipeline.adapters.postgres import Pool, connection
from pipeline.chat import Chat
from pipeline.json_bytes import json_bytes

_SEGMENT: Final = tuple(Segment.model_fields)

# The same decision as pipeline.chat.merge: the newer one, except that no null replaces a trace.
_NEWER = "(excluded.completed_at, excluded.event_id) > (chats.completed_at, chats.event_id)"
_NEWEST = ", ".join(
    f"{name} = CASE WHEN {_NEWER} THEN excluded.{name} ELSE chats.{name} END"
    for name in ("completed_at", "event_id", *_SEGMENT, "tags")
)
_UPSERT = f"""
INSERT INTO chats (client_request_id, trace_id, completed_at, event_id, {", ".join(_SEGMENT)}, tags)
SELECT * FROM json_to_recordset(%s::json)
    AS new (client_request_id text, trace_id text, completed_at timestamptz, event_id uuid,
            {" text, ".join(_SEGMENT)} text, tags jsonb)
ORDER BY client_request_id COLLATE "C"
ON CONFLICT (client_request_id) DO UPDATE SET
    trace_id = CASE WHEN {_NEWER} THEN coalesce(excluded.trace_id, chats.trace_id)
                    ELSE coalesce(chats.trace_id, excluded.trace_id) END,
    {_NEWEST}
WHERE {_NEWER} OR (chats.trace_id IS NULL AND excluded.trace_id IS NOT NULL)
"""  # noqa: S608 - only our own column names
# One text, as psycopg writes arrays in Python, which takes twenty times as long.
_IDS = "ARRAY(SELECT json_array_elements_text(%s::json))"
_COLUMNS = f"client_request_id, trace_id, completed_at, event_id, tags, {', '.join(_SEGMENT)}"
_FIND = f"SELECT {_COLUMNS} FROM chats WHERE client_request_id = ANY({_IDS})"  # noqa: S608 - as above
_FIND_BY_TRACE = f"SELECT {_COLUMNS} FROM chats WHERE trace_id = ANY({_IDS})"  # noqa: S608 - as above


class PostgresChats:
    """`ChatIndex` on the table ``chats``."""

    def __init__(self, pool: Pool) -> None:
        self._pool = pool

    async def upsert(self, chats: Sequence[Chat]) -> None:
        """Merge chats in, sorted, so that concurrent batches cannot deadlock."""
        rows = [
            {
                "client_request_id": chat.client_request_id,
                "trace_id": chat.trace_id,
                "completed_at": chat.completed_at,
                "event_id": chat.event_id,
                **dict(chat.segment),
                "tags": chat.tags,
            }
            for chat in chats
        ]
        async with connection(self._pool) as conn:
            await conn.execute(_UPSERT.encode(), [json_bytes(rows).decode()])

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
            rows = await (await conn.execute(statement.encode(), [json_bytes(list(ids)).decode()])).fetchall()
        return [
            Chat(
                client_request_id=request_id,
                trace_id=trace_id,
                completed_at=completed_at,
                event_id=event_id,
                segment=Segment.trusted(dict(zip(_SEGMENT, segment, strict=True))),
                tags=tags,
            )
            for request_id, trace_id, completed_at, event_id, tags, *segment in rows
        ]
