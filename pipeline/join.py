"""join: which chat each version is about, looked up in the index, a batch at a time."""

from collections.abc import Iterable
from uuid import UUID

from pipeline.chat import Chat
from pipeline.ports import ChatIndex
from pipeline.versions import Version


async def join(versions: Iterable[Version], chats: ChatIndex) -> dict[UUID, Chat]:
    """Find the chats of versions by request id, or by trace id where that is all they have.

    Returns:
        the chats by feedback_id; a chat without a trace counts, as its segment does.

    """
    versions = list(versions)
    request_ids = {v.client_request_id for v in versions if v.client_request_id}
    trace_ids = {v.trace_id for v in versions if v.trace_id and not v.client_request_id}
    by_request = await chats.find(request_ids) if request_ids else {}
    by_trace = await chats.find_by_trace(trace_ids) if trace_ids else {}
    found = {}
    for version in versions:
        known = by_request if version.client_request_id else by_trace
        chat = known.get(version.reference)
        if chat is not None:
            found[version.feedback_id] = chat
    return found
