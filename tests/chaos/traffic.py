"""What applications do in a run, from its seed: chats, traces, feedback in any order, doubles, nonsense."""

import random
from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass, field
from datetime import datetime, timedelta
from typing import Any, Final
from uuid import NAMESPACE_OID, UUID, uuid5

from contracts.events import ChatCompleted, Event, FeedbackSubmitted, FeedbackWithdrawn

Json = dict[str, Any]

PRODUCERS: Final = 4
UNSTORABLE: Final = "unstorable"
"""The name of an assessment that MLflow's database is made to refuse (see `chaos.run`)."""

_SEND_UNTIL: Final = 0.85
_BACKLOG: Final = 0.25
_DOUBLED: Final = 0.08
_POISON: Final[tuple[bytes | None, ...]] = (
    b'{"type": "FeedbackSubmitted", "client_request_id": ',
    b"thumbs up",
    b"",
    None,
    b"\xff\xfe\x00",
    b"[" * 3000,
    b'{"type": "FeedbackSubmited"}',
    b'{"type": "FeedbackSubmitted", "event_id": "1", "source": {"type": "ROBOT"}, "assessments": []}',
)
_HOSTILE: Final[tuple[tuple[str, bytes | None], ...]] = (
    ("twice", b"1"),
    ("twice", b"\xff\xfe"),
    ("null", None),
)
_VALUES: Final[tuple[Callable[[random.Random], Any], ...]] = (
    lambda r: r.random() < 0.5,
    lambda r: r.randrange(40) / 8,
    lambda r: f"text {r.randrange(10**6)} 'quoted' \"twice\" 🎉",
    lambda r: [f"tag-{r.randrange(100)}", r.randrange(100), True],
    lambda r: {"accuracy": r.randrange(8) / 8, "kind": "ok"},
)


@dataclass(frozen=True, slots=True)
class Trace:
    """A trace, when it is exported, and the request that it names; one that came by OTLP names none."""

    at: float
    trace_id: str
    request_id: str | None


@dataclass(frozen=True, slots=True)
class Request:
    """One chat and the traces that it leaves: none where it never comes, two where it was answered again."""

    request_id: str
    traces: tuple[Trace, ...]
    segment: tuple[tuple[str, str], ...] = ()


@dataclass(frozen=True, slots=True)
class Send:
    """One record to publish, by one of the producers; without an event it is nonsense, as bytes."""

    at: float
    producer: int
    is_chat: bool
    event: Event | None = None
    key: bytes | None = None
    value: bytes | None = None
    headers: tuple[tuple[str, bytes | None], ...] = ()


@dataclass(slots=True)
class Plan:
    """All of a run's traffic."""

    requests: dict[str, Request] = field(default_factory=dict)
    sends: list[Send] = field(default_factory=list)

    @property
    def traces(self) -> list[Trace]:
        """Give all traces in the order of their export."""
        return sorted((t for r in self.requests.values() for t in r.traces), key=lambda trace: trace.at)


def plan_traffic(seed: int, events: int, *, length: float, begin: datetime, prefix: str) -> Plan:
    """Plan at least so many records over ``length`` seconds; ``prefix`` makes the ids the run's own."""
    return _Planner(random.Random(f"traffic {seed}"), events, length, begin, prefix).plan()


@dataclass(slots=True)
class _Planner:
    random: random.Random
    events: int
    length: float
    begin: datetime
    prefix: str
    result: Plan = field(default_factory=Plan)
    stories: int = 0

    def plan(self) -> Plan:
        for number in range(max(10, self.events // 8)):
            self._request(number)
        while len(self.result.sends) < self.events:
            self.stories += 1
            (story,) = self.random.choices(list(_STORIES), list(_STORIES.values()))
            story(self)
        self.result.sends.sort(key=lambda send: send.at)
        return self.result

    # -- chats

    def _request(self, number: int) -> None:
        """Plan one chat: most at once, some late, some exported late, some never."""
        request_id = f"{self.prefix}{number}"
        segment = (("session_id", f"s-{number}"), ("region", f"region-{number % 3}"))
        (kind,) = self.random.choices(list(_CHATS), list(_CHATS.values()))
        if kind == "never":
            self.result.requests[request_id] = Request(request_id, ())
            return
        chat_at = self._late() if kind == "late" else 0.0
        trace_at = self._late() if kind == "exported late" else 0.0
        names = None if kind in {"otlp", "late"} else request_id
        traces = [Trace(trace_at, self._trace_id(), names)]
        if kind == "twice":
            traces.append(Trace(self.random.uniform(0, self.length / 2), self._trace_id(), names))
        self.result.requests[request_id] = Request(request_id, tuple(traces), segment)
        for trace in traces if kind != "no event" else ():
            at = max(chat_at, trace.at if kind == "twice" else 0.0)
            event = ChatCompleted(
                event_id=self.event_id(),
                client_request_id=request_id,
                trace_id=trace.trace_id,
                completed_at=self.begin + timedelta(seconds=at),
                **dict(segment),
            )
            self.send(at, event)

    def _late(self) -> float:
        return self.random.uniform(0.5, 6.0)

    def _trace_id(self) -> str:
        """Make a trace id of the run's own: a server holds it once, also when a seed is run again."""
        return f"tr-{uuid5(NAMESPACE_OID, f'{self.prefix}{self.random.random()}').hex}"

    # -- helpers of the stories

    def event_id(self) -> UUID:
        return UUID(int=self.random.getrandbits(128), version=4)

    def send(self, at: float, event: Event) -> None:
        """Plan an event, sometimes a second time as well."""
        is_chat = isinstance(event, ChatCompleted)
        times = [at, at + self.random.uniform(0, 8)] if self.random.random() < _DOUBLED else [at]
        for time in times:
            self.result.sends.append(
                Send(min(time, self.length), self.random.randrange(PRODUCERS), is_chat, event)
            )

    def start(self) -> float:
        """Choose when a story begins: some of them lie there before anybody reads."""
        if self.random.random() < _BACKLOG:
            return self.random.uniform(0, 1)
        return self.random.uniform(0, self.length * _SEND_UNTIL)

    def request(self) -> Request:
        return self.random.choice(list(self.result.requests.values()))

    def at_for(self, request: Request) -> float:
        """Choose when a story of a request begins: early where no trace ever comes, as it is waited for."""
        return self.start() if request.traces else self.random.uniform(0, self.length / 4)

    def said(self, name: str = "helpful") -> Json:
        assessment: Json = {"name": name, "value": self.random.choice(_VALUES)(self.random)}
        if self.random.random() < 0.6:
            assessment["rationale"] = f"comment {self.random.randrange(10**9)}"
        return assessment

    def submit(self, request_id: str | None, seconds: float, **fields: Any) -> FeedbackSubmitted:
        known: Json = {
            "event_id": self.event_id(),
            "client_request_id": request_id,
            "source": {"type": "HUMAN", "id": f"user-{self.stories}"},
            "submitted_at": self.begin + timedelta(seconds=seconds),
        }
        if self.random.random() < 0.7:
            known["metadata"] = {
                "page": f"p{self.random.randrange(100)}",
                f"k{self.random.randrange(9)}": f"v{self.random.randrange(100)}",
            }
        return FeedbackSubmitted.model_validate(known | fields)

    def withdraw(self, like: FeedbackSubmitted, seconds: float, names: Sequence[Json]) -> FeedbackWithdrawn:
        return FeedbackWithdrawn.model_validate(
            {
                "event_id": self.event_id(),
                "client_request_id": like.client_request_id,
                "trace_id": like.trace_id,
                "source": like.source,
                "feedback_id": like.feedback_id,
                "submitted_at": self.begin + timedelta(seconds=seconds),
                "names": names,
            }
        )

    def shuffled(self, at: float, within: float, events: Iterable[Event]) -> None:
        """Plan events in any order within so many seconds."""
        for event in events:
            self.send(min(at + self.random.uniform(0, within), self.length), event)


def _plain(p: _Planner) -> None:
    request = p.request()
    at = p.at_for(request)
    p.send(at, p.submit(request.request_id, at, assessments=[p.said()]))


def _versions(p: _Planner, within: float, most: int) -> None:
    """Somebody changes his mind again and again; sometimes he takes it back, sometimes in the middle."""
    request = p.request()
    at = p.at_for(request)
    count = p.random.randint(2, most)
    versions: list[Event] = [
        p.submit(request.request_id, at + n / 10, assessments=[p.said()]) for n in range(count)
    ]
    if p.random.random() < 0.3:
        place = p.random.choice([count - 1, count, p.random.randrange(1, count + 1)])
        like = versions[0]
        assert isinstance(like, FeedbackSubmitted)
        versions.append(p.withdraw(like, at + place / 10 + 0.05, [{"name": "helpful"}]))
    p.shuffled(at, within, versions)


def _burst(p: _Planner) -> None:
    _versions(p, 0.6, 8)


def _spread(p: _Planner) -> None:
    _versions(p, 12.0, 4)


def _restless(p: _Planner) -> None:
    """Somebody edits every other second, so that a write that comes late always comes after a newer one."""
    request = p.request()
    at, step = p.random.uniform(0, p.length / 4), p.length / 16
    for n in range(p.random.randint(6, 10)):
        when = at + n * step
        p.send(when, p.submit(request.request_id, when, assessments=[p.said("mood")]))


def _tie(p: _Planner) -> None:
    """Two versions of one instant: the greater event_id wins."""
    request = p.request()
    at = p.at_for(request)
    p.shuffled(at, 4.0, [p.submit(request.request_id, at, assessments=[p.said()]) for _ in range(2)])


def _several(p: _Planner) -> None:
    """Several assessments in an event; later one is changed and another taken back."""
    request = p.request()
    at = p.at_for(request)
    first = p.submit(
        request.request_id, at, assessments=[p.said(name) for name in ("helpful", "tone", "clear")]
    )
    second = p.submit(request.request_id, at + 1, assessments=[p.said("tone")])
    p.shuffled(at, 8.0, [first, second, p.withdraw(first, at + 2, [{"name": "clear"}])])


def _expectation(p: _Planner) -> None:
    request = p.request()
    at = p.at_for(request)
    events: list[Event] = []
    for n in range(p.random.randint(1, 3)):
        value = {"steps": ["open", {"then": p.random.randrange(1000)}]}
        said = {"name": "expected_answer", "kind": "expectation", "value": value}
        events.append(p.submit(request.request_id, at + n, assessments=[said]))
    p.shuffled(at, 6.0, events)


def _judged(p: _Planner) -> None:
    """A judge knows the trace, and sometimes the request as well."""
    request = p.request()
    if not request.traces:
        return
    at = p.at_for(request)
    given: Json = {
        "trace_id": request.traces[0].trace_id,
        "source": {"type": "LLM_JUDGE", "id": f"judge-{p.stories}"},
    }
    reference = request.request_id if p.random.random() < 0.5 else None
    versions = [p.submit(reference, at + n, assessments=[p.said("relevance")], **given) for n in range(2)]
    p.shuffled(at, 5.0, versions[: p.random.randint(1, 2)])


def _anonymous(p: _Planner) -> None:
    request = p.request()
    at = p.at_for(request)
    said = {"source": {"type": "HUMAN"}}
    if p.random.random() < 0.5:
        said["feedback_id"] = str(p.event_id())  # type: ignore[assignment]  # a field beside the source
    p.shuffled(
        at, 3.0, [p.submit(request.request_id, at + n, assessments=[p.said()], **said) for n in range(2)]
    )


def _unstorable(p: _Planner) -> None:
    """One assessment that the database refuses beside one that it takes."""
    request = p.request()
    if not request.traces:
        return
    at = p.at_for(request)
    p.send(at, p.submit(request.request_id, at, assessments=[p.said(), p.said(UNSTORABLE)]))


def _nonsense(p: _Planner) -> None:
    number = len(p.result.sends)
    p.result.sends.append(
        Send(
            p.start(),
            p.random.randrange(PRODUCERS),
            is_chat=p.random.random() < 0.2,
            key=f"nonsense-{number}".encode(),
            value=p.random.choice(_POISON),
            headers=_HOSTILE if p.random.random() < 0.5 else (),
        )
    )


_CHATS: Final = {
    "plain": 70,
    "no event": 6,
    "otlp": 6,
    "late": 6,
    "exported late": 6,
    "twice": 4,
    "never": 2,
}
# Weights are of stories, not of records: a burst has many, of which few are written.
_STORIES: Final[dict[Callable[[_Planner], None], int]] = {
    _plain: 24,
    _burst: 46,
    _spread: 14,
    _restless: 5,
    _tie: 3,
    _several: 5,
    _expectation: 4,
    _judged: 5,
    _anonymous: 3,
    _unstorable: 1,
    _nonsense: 6,
}
