"""resolve: the trace of each version; what the join missed is searched in MLflow."""

from collections.abc import Sequence
from dataclasses import dataclass, replace
from datetime import datetime

from pipeline.chat import Chat
from pipeline.ports import ChatIndex, Standing, Traces
from pipeline.versions import Version


@dataclass(frozen=True, slots=True)
class Work:
    """A version that is ours to write, what stands for its feedback, and its chat if it is known."""

    version: Version
    standing: Standing
    chat: Chat | None

    @property
    def trace_id(self) -> str | None:
        """Give the trace: the pinned one for good, else the event's own, else the chat's."""
        return self.standing.trace_id or self.version.trace_id or (self.chat.trace_id if self.chat else None)


async def resolve(
    work: Sequence[Work], traces: Traces, chats: ChatIndex, *, since: datetime | None
) -> list[Work]:
    """Search in MLflow for what has no trace yet, and keep in the index what is found.

    Args:
        work: versions with or without a trace.
        traces: where to search.
        chats: where to keep what is found, so that nobody searches for it again.
        since: how far back to search; None searches all, which is slower.

    Returns:
        the same work in the same order, with the chats that were found.

    """
    missing = {
        item.version.client_request_id
        for item in work
        if item.trace_id is None and item.version.client_request_id
    }
    if not missing:
        return list(work)
    found = await traces.search(missing, since=since)
    resolved = [_with_chat(item, found.get(item.version.client_request_id or "")) for item in work]
    known = {item.chat.client_request_id: item.chat for item in resolved if item.chat}
    if found:
        await chats.upsert([known.get(key, chat) for key, chat in found.items()])
    return resolved


def _with_chat(item: Work, found: Chat | None) -> Work:
    # A chat event without a trace still knows its segment better than the trace does.
    if found is None or item.trace_id is not None:
        return item
    chat = replace(item.chat, trace_id=found.trace_id) if item.chat else found
    return replace(item, chat=chat)
