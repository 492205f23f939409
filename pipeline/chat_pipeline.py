"""The way of a batch of chat events: decode, then into the join index."""

from collections.abc import Sequence
from typing import cast

from contracts.events import ChatCompleted
from contracts.parse import CHAT_EVENTS, ContractError, parse_event
from pipeline.chat import Chat, chat_of, merge
from pipeline.metrics import Metrics
from pipeline.outcomes import Dead
from pipeline.patience import Patience
from pipeline.ports import ChatIndex, DeadLetter, Outbox
from pipeline.records import Record


class ChatPipeline:
    """Chat events into the join index; what breaks the contract becomes a dead letter."""

    def __init__(self, chats: ChatIndex, outbox: Outbox, patience: Patience, metrics: Metrics) -> None:
        self._chats = chats
        self._outbox = outbox
        self._patience = patience
        self._metrics = metrics

    async def run(self, records: Sequence[Record]) -> None:
        """Settle a batch; when this returns, its offsets may be committed.

        Raises:
            StoppedError: when told to stop; then nothing may be committed.

        """
        chats, dead_letters = decode_chats(records)
        if chats:
            await self._patience.call(lambda: self._chats.upsert(chats))
        if dead_letters:
            await self._patience.call(lambda: self._outbox.send([], dead_letters))
        self._metrics.chats(indexed=len(chats), dead=len(dead_letters))


def decode_chats(records: Sequence[Record]) -> tuple[list[Chat], list[DeadLetter]]:
    """Decode record by record: the chats, one for each request, and the records that are none."""
    chats: dict[str, Chat] = {}
    dead_letters = []
    for record in records:
        try:
            event = parse_event(record.value, CHAT_EVENTS, recorded_at=record.recorded_at)
        except ContractError as error:
            dead_letters.append(DeadLetter(record, Dead("undecodable", str(error))))
        else:
            chat = chat_of(cast("ChatCompleted", event))
            known = chats.get(chat.client_request_id)
            chats[chat.client_request_id] = merge(known, chat) if known else chat
    return list(chats.values()), dead_letters
