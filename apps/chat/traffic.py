"""Sample traffic: what people and machines do to a feedback pipeline, good and bad, from a seed."""

import asyncio
import random
from collections.abc import Awaitable, Callable, Iterator
from dataclasses import dataclass, field
from datetime import UTC, datetime, timedelta
from typing import Any, Final
from uuid import uuid4

from aiokafka import AIOKafkaProducer

from apps.chat.samples import ANSWERS, BLAME, PRAISE
from apps.chat.service import Answer, Chat, ChatService, new_request_id
from contracts.events import FeedbackEvent, FeedbackSubmitted, FeedbackWithdrawn, Source
from contracts.publisher import FeedbackPublisher
from contracts.topics import Topics

_AT_ONCE: Final = 16
_BAD_RECORDS: Final = (
    b'{"type": "FeedbackSubmitted", "client_request_id": ',
    b"thumbs up",
    b"",
    b'{"type": "FeedbackSubmited"}',
    b'{"type": "FeedbackSubmitted", "event_id": "1", "source": {"type": "ROBOT"}, "assessments": []}',
)


@dataclass(slots=True)
class Published:
    """What Kafka acknowledged, and the traces that it is about."""

    events: list[FeedbackEvent] = field(default_factory=list)
    bad_records: int = 0
    answers: dict[str, Answer] = field(default_factory=dict)

    @property
    def records(self) -> int:
        """Give how many records went to the feedback topic."""
        return len(self.events) + self.bad_records


class Traffic:
    """Plays scenarios, each one story of a chat and what was said of it."""

    def __init__(
        self,
        service: ChatService,
        publisher: FeedbackPublisher,
        raw: AIOKafkaProducer,
        topics: Topics,
        seed: int,
    ) -> None:
        self._service = service
        self._publisher = publisher
        self._raw = raw
        self._topic = topics.feedback_submitted
        self._random = random.Random(seed)  # noqa: S311 - sample data
        self.published = Published()

    async def play(self, events: int, told: Callable[[int], None]) -> Published:
        """Publish so many feedback records; ``told`` is called with the number so far."""
        limit = asyncio.Semaphore(_AT_ONCE)

        async def one(scenario: Scenario) -> None:
            async with limit:
                await scenario.play(self)
            told(self.published.records)

        async with asyncio.TaskGroup() as group:
            for scenario in scenarios(events, self._random):
                group.create_task(one(scenario))
        return self.published

    async def play_one(self) -> None:
        """Play one story, and forget what was published: for traffic without an end."""
        await self._random.choice((*SPECIAL, *[PLAIN] * len(SPECIAL))).play(self)
        self.published = Published()

    def new_chat(self) -> Chat:
        """Make up a chat of one of many users."""
        user = f"user-{self._random.randrange(200)}"
        return Chat(
            message=self._random.choice(list(ANSWERS)),
            user_id=user,
            session_id=f"{user}-s{self._random.randrange(3)}",
            client_request_id=new_request_id(),
        )

    async def chat(self, chat: Chat | None = None) -> Answer:
        """Have a chat answered."""
        answer = await self._service.answer(chat or self.new_chat())
        self.published.answers[answer.client_request_id] = answer
        return answer

    def thumbs(self, request_id: str, **fields: Any) -> FeedbackSubmitted:  # noqa: ANN401 - of the event
        """Make up a person's thumb, up or down, sometimes with a comment."""
        good = self._random.random() < 0.7  # noqa: PLR2004 - most are content
        comment = self._random.choice(PRAISE if good else BLAME) if self._random.random() < 0.5 else None  # noqa: PLR2004
        given: dict[str, Any] = {
            "client_request_id": request_id,
            "source": Source(type="HUMAN", id=f"user-{self._random.randrange(200)}"),
            "assessments": [{"name": "helpful", "value": good, "rationale": comment}],
        }
        return FeedbackSubmitted(**(given | fields))

    async def say(self, *events: FeedbackEvent) -> None:
        """Publish feedback."""
        await self._publisher.publish(*events)
        self.published.events.extend(events)

    async def say_nonsense(self) -> None:
        """Publish what breaks the contract, as our publisher never would."""
        await self._raw.send_and_wait(self._topic, self._random.choice(_BAD_RECORDS), key=b"nonsense")
        self.published.bad_records += 1


@dataclass(frozen=True, slots=True)
class Scenario:
    """A story, and how many feedback records it publishes."""

    records: int
    play: Callable[[Traffic], Awaitable[None]]


async def _plain(traffic: Traffic) -> None:
    answer = await traffic.chat()
    await traffic.say(traffic.thumbs(answer.client_request_id))


async def _sent_twice(traffic: Traffic) -> None:
    """The producer did not hear the acknowledgement, and sends the very same event again."""
    answer = await traffic.chat()
    event = traffic.thumbs(answer.client_request_id)
    await traffic.say(event)
    await traffic.say(event)


async def _comes_first(traffic: Traffic) -> None:
    """The feedback overtakes the chat and its trace."""
    chat = traffic.new_chat()
    await traffic.say(traffic.thumbs(chat.client_request_id))
    await traffic.chat(chat)


async def _changed(traffic: Traffic) -> None:
    """Somebody clicks up, thinks again, and clicks down with a comment."""
    answer = await traffic.chat()
    first = traffic.thumbs(answer.client_request_id)
    down = [{"name": "helpful", "value": False, "rationale": "On second thought, no"}]
    second = traffic.thumbs(
        answer.client_request_id,
        source=first.source,
        assessments=down,
        submitted_at=first.submitted_at + timedelta(seconds=1),
    )
    await traffic.say(first)
    await traffic.say(second)


async def _out_of_order(traffic: Traffic) -> None:
    """The newer click arrives before the older one."""
    answer = await traffic.chat()
    newer = traffic.thumbs(answer.client_request_id)
    older = traffic.thumbs(
        answer.client_request_id, source=newer.source, submitted_at=newer.submitted_at - timedelta(seconds=5)
    )
    await traffic.say(newer)
    await traffic.say(older)


async def _withdrawn(traffic: Traffic) -> None:
    answer = await traffic.chat()
    event = traffic.thumbs(answer.client_request_id)
    withdrawal = FeedbackWithdrawn.model_validate(
        {
            "client_request_id": answer.client_request_id,
            "source": event.source,
            "names": ["helpful"],
            "submitted_at": event.submitted_at + timedelta(seconds=2),
        }
    )
    await traffic.say(event)
    await traffic.say(withdrawal)


async def _judged(traffic: Traffic) -> None:
    """A judge scores the trace, whose id is all it knows."""
    answer = await traffic.chat()
    event = FeedbackSubmitted.model_validate(
        {
            "trace_id": answer.trace_id,
            "source": {"type": "LLM_JUDGE", "id": "judge-small"},
            "assessments": [
                {"name": "relevance", "value": 0.8, "rationale": "Names the right menu"},
                {"name": "tone", "value": {"polite": True, "formal": 0.4}},
            ],
        }
    )
    await traffic.say(event)


async def _expected(traffic: Traffic) -> None:
    """An expert, and a program, say what the answer should have been and what it was."""
    answer = await traffic.chat()
    expert = traffic.thumbs(
        answer.client_request_id,
        assessments=[
            {
                "name": "expected_answer",
                "kind": "expectation",
                "value": {"steps": ["open", {"then": "click"}]},
            }
        ],
    )
    program = traffic.thumbs(
        answer.client_request_id,
        feedback_id=str(uuid4()),
        source=Source(type="CODE"),
        assessments=[{"name": "links", "value": ["settings", "security"]}],
    )
    await traffic.say(expert, program)


async def _nonsense(traffic: Traffic) -> None:
    await traffic.say_nonsense()


async def _orphan(traffic: Traffic) -> None:
    """Feedback on a chat that nobody ever had."""
    await traffic.say(traffic.thumbs(new_request_id(), submitted_at=datetime.now(UTC)))


PLAIN: Final = Scenario(1, _plain)
SPECIAL: Final = (
    Scenario(2, _sent_twice),
    Scenario(1, _comes_first),
    Scenario(2, _changed),
    Scenario(2, _out_of_order),
    Scenario(2, _withdrawn),
    Scenario(1, _judged),
    Scenario(2, _expected),
    Scenario(1, _nonsense),
)
ORPHAN: Final = Scenario(1, _orphan)
_SHARE_OF_SPECIAL: Final = 0.3


def scenarios(events: int, randomness: random.Random) -> Iterator[Scenario]:
    """Choose stories that publish just so many feedback records: each special one once, then a mixture."""
    left = events
    first = [*SPECIAL, ORPHAN]
    while left:
        if first:
            scenario = first.pop(0)
        else:
            scenario = randomness.choice(SPECIAL) if randomness.random() < _SHARE_OF_SPECIAL else PLAIN
        if scenario.records > left:
            scenario = PLAIN
        left -= scenario.records
        yield scenario
