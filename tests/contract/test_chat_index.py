from dataclasses import replace
from itertools import permutations
from uuid import UUID

import pytest
from support.samples import a_chat, at, new_id

from contracts.events import Segment
from pipeline.adapters.postgres_chats import PostgresChats
from pipeline.chat import Chat
from pipeline.memory import MemoryChats
from pipeline.ports import ChatIndex

LOW, HIGH = UUID("1fffffff-0000-4000-8000-000000000000"), UUID("f0000000-0000-4000-8000-000000000000")


@pytest.fixture(params=["memory", "real"])
def chats(request: pytest.FixtureRequest) -> ChatIndex:
    if request.param == "memory":
        return MemoryChats()
    return PostgresChats(request.getfixturevalue("pool"))


async def the_one(chats: ChatIndex, request_id: str) -> Chat:
    return (await chats.find([request_id]))[request_id]


async def after(chats: ChatIndex, *told: Chat) -> Chat:
    for chat in told:
        await chats.upsert([chat])
    return await the_one(chats, told[0].client_request_id)


async def test_a_chat_is_found_again_with_all_that_it_was(chats: ChatIndex) -> None:
    chat = a_chat(
        new_id(),
        new_id("tr"),
        completed_at=at(0.123456),
        session_id="s-1",
        user_id="u-1",
        environment="production",
        app_version="1.2.3",
        deployment_id="arm-b",
        region="eu-1",
        tags={"tenant": "t", "beta": "yes"},
    )
    await chats.upsert([chat])
    assert await chats.find([chat.client_request_id]) == {chat.client_request_id: chat}


async def test_unicode_quotes_and_backslashes_come_back_as_they_were(chats: ChatIndex) -> None:
    odd = "Zoë 🐝 'x' \"y\" \\N {a,b} NULL , ; -- %s \n\t"
    chat = a_chat(new_id(), None, session_id=odd, user_id="NULL", tags={odd: odd, "empty": ""})
    assert await after(chats, chat) == chat


async def test_empty_tags_and_no_tags_are_told_apart(chats: ChatIndex) -> None:
    assert (await after(chats, a_chat(new_id(), tags={}))).tags == {}
    assert (await after(chats, a_chat(new_id(), tags=None))).tags is None


async def test_unknown_ids_are_absent_and_no_ids_find_nothing(chats: ChatIndex) -> None:
    chat = a_chat(new_id())
    await chats.upsert([chat])
    assert list(await chats.find([chat.client_request_id, new_id()])) == [chat.client_request_id]
    assert await chats.find([]) == {}
    assert await chats.find_by_trace([]) == {}
    assert await chats.find_by_trace([new_id("tr")]) == {}


async def test_request_ids_differ_by_case(chats: ChatIndex) -> None:
    low, high = a_chat(f"a{new_id()}"), a_chat(f"A{new_id()}")
    await chats.upsert([low, high])
    assert await chats.find([low.client_request_id.upper()]) == {}


async def test_a_chat_is_found_by_its_trace(chats: ChatIndex) -> None:
    chat, other = a_chat(new_id(), new_id("tr"), region="eu"), a_chat(new_id(), None)
    await chats.upsert([chat, other])
    assert await chats.find_by_trace([chat.trace_id or ""]) == {chat.trace_id: chat}


@pytest.mark.parametrize("first", [0, 1])
async def test_the_newer_one_counts_in_either_order(chats: ChatIndex, first: int) -> None:
    request_id = new_id()
    old = a_chat(request_id, "tr-old", completed_at=at(0), environment="old", region="eu", tags={"a": "1"})
    new = a_chat(request_id, "tr-new", completed_at=at(0.000001), environment="new")
    told = (old, new) if first == 0 else (new, old)
    assert await after(chats, *told) == new


@pytest.mark.parametrize("first", [0, 1])
async def test_no_null_replaces_a_trace(chats: ChatIndex, first: int) -> None:
    request_id = new_id()
    old = a_chat(request_id, "tr-1", completed_at=at(0), environment="old")
    new = a_chat(request_id, None, completed_at=at(1), environment="new")
    told = (old, new) if first == 0 else (new, old)
    assert await after(chats, *told) == replace(new, trace_id="tr-1")


@pytest.mark.parametrize("first", [0, 1])
async def test_of_the_same_time_the_greater_event_id_counts(chats: ChatIndex, first: int) -> None:
    request_id = new_id()
    low = a_chat(request_id, "tr-low", event_id=LOW, region="low")
    high = a_chat(request_id, "tr-high", event_id=HIGH, region="high")
    told = (low, high) if first == 0 else (high, low)
    assert await after(chats, *told) == high


async def test_three_chats_end_the_same_in_every_order(chats: ChatIndex) -> None:
    for order in permutations(range(3)):
        request_id = new_id()
        told = [
            a_chat(request_id, "tr-0", completed_at=at(0), event_id=LOW, region="0"),
            a_chat(request_id, "tr-1", completed_at=at(1), event_id=LOW, region="1"),
            a_chat(request_id, None, completed_at=at(2), event_id=LOW, region="2"),
        ]
        found = await after(chats, *[told[index] for index in order])
        # What the newest null keeps is the trace that stood when it came, so only its segment is sure.
        assert found.segment == Segment(region="2")
        assert found.trace_id in {"tr-0", "tr-1"}


async def test_the_same_chat_again_changes_nothing(chats: ChatIndex) -> None:
    chat = a_chat(new_id(), "tr-1", user_id="u")
    assert await after(chats, chat, chat) == chat


async def test_a_trace_may_be_added_to_what_an_event_told_but_not_changed(chats: ChatIndex) -> None:
    """What a search finds is kept under the event's own time and id."""
    told = a_chat(new_id(), None, user_id="u", tags={"a": "1"})
    assert await after(chats, told, replace(told, trace_id="tr-1")) == replace(told, trace_id="tr-1")
    assert await after(chats, replace(told, trace_id="tr-2")) == replace(told, trace_id="tr-1")


async def test_five_thousand_in_a_batch(chats: ChatIndex) -> None:
    many = [a_chat(new_id(), new_id("tr"), user_id=f"u-{n}", tags={"n": str(n)}) for n in range(5000)]
    await chats.upsert(many)
    await chats.upsert([replace(chat, trace_id=None) for chat in reversed(many)])
    found = await chats.find([chat.client_request_id for chat in many])
    assert found == {chat.client_request_id: chat for chat in many}
