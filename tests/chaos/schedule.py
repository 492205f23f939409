"""Which faults a seed means, and when: the same seed and sink give the same schedule."""

import random
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Final, Literal, Self, get_args

Kind = Literal[
    "kill consumer",
    "freeze consumer",
    "freeze and kill consumer",
    "end consumer",
    "more consumers",
    "kill broker",
    "freeze broker",
    "kill postgres",
    "freeze postgres",
    "kill mlflow",
    "freeze mlflow",
    "cut",
    "refuse",
    "delay",
    "swallow and hang",
    "swallow and close",
    "hold writes",
    "hold writes and kill",
    "add partitions",
    "kill mlflow in a write",
    "lose answers to writes",
    "take plugin away",
    "hide plugin",
    "refuse large",
]
KINDS: Final[tuple[Kind, ...]] = get_args(Kind)

Sink = Literal["auto", "rest"]
"""How the consumers write into MLflow: in bulk where that can be done, or never in bulk."""

ONLY_IN_BULK: Final[frozenset[Kind]] = frozenset({"take plugin away", "hide plugin", "refuse large"})
"""What one who writes one by one would not notice, or would rightly take for the end of a record."""

CONSUMERS: Final = ("consumer-0", "consumer-1")
BROKERS: Final = ("kafka-1", "kafka-2", "kafka-3")
PROXIES: Final = ("mlflow", "postgres")
FEEDBACK_TOPIC: Final = "feedback-submitted"


@dataclass(frozen=True, slots=True)
class _Habit:
    """How often a kind is drawn, how many seconds it lasts, whom it hits, what it must not overlap."""

    weight: int
    shortest: float
    longest: float
    targets: Sequence[str]
    lanes: Sequence[str] = ()


# A session ends after 6 s without a heartbeat: a freeze is drawn shorter and longer than that. MLflow and
# Postgres share a lane, as MLflow cannot be started while its database is away; faults of writes share it
# too, as nothing is written meanwhile. What is held must not be held for longer by another fault than a
# request may live; but as long as it takes until the killed ones are missed (6 s), others have started, and
# have written something newer.
_HABITS: Final[Mapping[Kind, _Habit]] = {
    "kill consumer": _Habit(5, 0.0, 3.0, CONSUMERS),
    "freeze consumer": _Habit(4, 3.0, 11.0, CONSUMERS),
    "freeze and kill consumer": _Habit(2, 7.0, 9.0, CONSUMERS),
    "end consumer": _Habit(2, 0.0, 5.0, CONSUMERS),
    "more consumers": _Habit(2, 6.0, 12.0, ("2 more",), ["more"]),
    "kill broker": _Habit(3, 1.0, 5.0, BROKERS, ["brokers"]),
    "freeze broker": _Habit(2, 2.0, 6.0, BROKERS, ["brokers"]),
    "kill postgres": _Habit(2, 0.0, 3.0, ("postgres",), ["stores"]),
    "freeze postgres": _Habit(2, 1.0, 5.0, ("postgres",), ["stores"]),
    "kill mlflow": _Habit(2, 0.0, 2.0, ("mlflow",), ["stores"]),
    "freeze mlflow": _Habit(2, 2.0, 7.0, ("mlflow",), ["stores"]),
    "cut": _Habit(3, 0.0, 0.0, PROXIES),
    "refuse": _Habit(2, 1.0, 5.0, PROXIES),
    "delay": _Habit(2, 2.0, 6.0, PROXIES),
    "swallow and hang": _Habit(3, 1.0, 5.0, PROXIES),
    "swallow and close": _Habit(3, 1.0, 4.0, PROXIES),
    "hold writes": _Habit(3, 4.0, 12.0, ("mlflow",)),
    "hold writes and kill": _Habit(6, 14.0, 17.0, ("mlflow",), ["mlflow", "stores"]),
    "add partitions": _Habit(1, 0.0, 0.0, (FEEDBACK_TOPIC,), ["partitions"]),
    "kill mlflow in a write": _Habit(4, 0.0, 1.0, ("mlflow",), ["mlflow", "stores"]),
    "lose answers to writes": _Habit(4, 2.0, 6.0, ("mlflow",), ["mlflow", "stores"]),
    "take plugin away": _Habit(2, 1.0, 4.0, ("mlflow",), ["stores"]),
    "hide plugin": _Habit(3, 1.0, 5.0, ("mlflow",), ["mlflow", "stores"]),
    "refuse large": _Habit(4, 3.0, 8.0, ("mlflow",), ["mlflow", "stores"]),
}

_ONCE: Final[frozenset[Kind]] = frozenset({"add partitions", "take plugin away"})
# Where the plugin is taken away MLflow is started twice, which takes up to 15 s each time.
_EARLY: Final[Mapping[Kind, float]] = {"take plugin away": 0.4, "kill mlflow in a write": 0.85}
"""By which part of the schedule a kind has begun: in the last of it hardly anything is published."""

_FIRST: Final = 2.0
_BETWEEN: Final = 2.0
_TRIES: Final = 200


@dataclass(frozen=True, slots=True, order=True)
class Fault:
    """One fault: when it begins, how long it lasts until it is healed (in seconds), and whom it hits."""

    at: float
    kind: Kind
    target: str
    seconds: float

    @property
    def lanes(self) -> tuple[str, ...]:
        """Give what has one fault at a time, sorted."""
        return tuple(sorted(_HABITS[self.kind].lanes or [self.target]))

    @property
    def end(self) -> float:
        """Give when it is healed."""
        return self.at + self.seconds

    def __str__(self) -> str:
        lasts = f" for {self.seconds:.1f} s" if self.seconds else ""
        return f"{self.at:5.1f} s  {self.kind}: {self.target}{lasts}"


@dataclass(frozen=True, slots=True)
class Schedule:
    """The faults of one seed, in the order in which they begin."""

    seed: int
    length: float
    faults: tuple[Fault, ...]
    sink: Sink = "auto"

    @classmethod
    def from_seed(
        cls, seed: int, *, length: float | None = None, faults: int | None = None, sink: Sink = "auto"
    ) -> Self:
        """Draw a schedule: 8 to 12 faults within 25 to 40 s where not said otherwise."""
        randomness = random.Random(f"schedule {seed}")
        kinds = [kind for kind in KINDS if sink == "auto" or kind not in ONLY_IN_BULK]
        seconds = length or randomness.uniform(25, 40)
        count = faults or randomness.randint(8, 12)
        drawn: list[Fault] = []
        for _ in range(_TRIES):
            if len(drawn) == count:
                break
            fault = _draw(randomness, kinds, seconds)
            if fault.end <= seconds and not any(_collide(fault, other) for other in drawn):
                drawn.append(fault)
        return cls(seed, seconds, tuple(sorted(drawn)), sink)

    def __str__(self) -> str:
        lines = [f"seed {self.seed}: {len(self.faults)} faults in {self.length:.0f} s, sink {self.sink}"]
        return "\n".join([*lines, *(f"  {fault}" for fault in self.faults)])


def _draw(randomness: random.Random, kinds: Sequence[Kind], length: float) -> Fault:
    (kind,) = randomness.choices(kinds, [_HABITS[kind].weight for kind in kinds])
    habit = _HABITS[kind]
    return Fault(
        at=round(randomness.uniform(_FIRST, length * _EARLY.get(kind, 1.0)), 1),
        kind=kind,
        target=randomness.choice(habit.targets),
        seconds=round(randomness.uniform(habit.shortest, habit.longest), 1),
    )


def _collide(one: Fault, other: Fault) -> bool:
    if one.kind == other.kind and one.kind in _ONCE:
        return True
    shared = set(one.lanes) & set(other.lanes)
    return bool(shared) and one.at < other.end + _BETWEEN and other.at < one.end + _BETWEEN
