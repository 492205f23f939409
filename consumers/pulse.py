"""What a consumer's loop did last: pure, all time is counted in by whoever watches."""

from collections.abc import Mapping
from dataclasses import dataclass
from operator import itemgetter
from typing import Final, Literal, NamedTuple

from aiokafka import TopicPartition

_TICKS: Final = 2


class Progress(NamedTuple):
    """How far a partition was read: ``position`` is next, ``end`` is where what may be read ended.

    ``polled_at`` is when the broker last said so, in its client's milliseconds; all are None until then.
    """

    position: int | None
    end: int | None
    polled_at: int | None

    @property
    def lag(self) -> int:
        """Give how many records are there and not read."""
        return max(0, self.end - self.position) if self.position is not None and self.end else 0

    def went_on_from(self, before: "Progress") -> bool:
        """Tell whether records were handed out, or the broker said again that there are none."""
        return self.position != before.position or (not self.lag and self.polled_at != before.polled_at)


@dataclass(frozen=True, slots=True)
class Stall:
    """What stands still, and for how many seconds; ``for_kafka`` if Kafka may be what it waits for."""

    what: str
    seconds: float
    for_kafka: bool


class Pulse:
    """Counts for how long a loop neither got an answer from ``getmany`` nor ended a batch.

    A declared wait (`pipeline.patience`) does not count. Partitions are looked at only while the loop polls:
    in a long batch nobody asks for their records.
    """

    def __init__(self) -> None:
        self.doing: Literal["nothing", "reading", "settling"] = "nothing"
        self.waits = 0
        self.age = 0.0
        self.silent: dict[TopicPartition, float] = {}
        self._seen: Mapping[TopicPartition, Progress] = {}
        self._has_polled = False

    def beat(self) -> None:
        """Note that the loop is alive."""
        self.age = 0.0

    def reads(self) -> None:
        """Note that it asks for a batch; after an answer only: to ask again and again is no sign of life."""
        if self.doing != "reading":
            self.beat()
        self.doing = "reading"

    def has_read(self) -> None:
        """Note that it got an answer, and settles what is in it."""
        self.doing = "settling"
        self._has_polled = True
        self.beat()

    def tick(self, seconds: float, progress: Mapping[TopicPartition, Progress]) -> None:
        """Count the time since the last tick."""
        if self.doing != "nothing" and not self.waits:
            self.age += seconds
        if self._has_polled:
            self.silent = {
                partition: self.silent.get(partition, 0.0) + seconds
                for partition, now in progress.items()
                if partition in self._seen and not now.went_on_from(self._seen[partition])
            }
            self._seen = dict(progress)
        self._has_polled = False

    def excuse(self) -> None:
        """Begin again: the broker was away."""
        self.beat()
        self.silent = {}

    def hungry(self, seconds: float) -> list[TopicPartition] | None:
        """Tell whether it has got nothing for so long; the partitions, none for all of them."""
        if self.doing == "reading" and self.age >= seconds:
            return []
        return [partition for partition, silence in self.silent.items() if silence >= seconds] or None

    def stall(self, seconds: float) -> Stall | None:
        """Tell what has stood still for so long, if anything has."""
        if self.age >= seconds:
            is_reading = self.doing == "reading"
            return Stall("getmany" if is_reading else "a batch", self.age, for_kafka=is_reading)
        partition, silence = max(self.silent.items(), key=itemgetter(1), default=(None, 0.0))
        if partition is None or silence < seconds:
            return None
        return Stall(f"{partition.topic}[{partition.partition}]", silence, for_kafka=True)


class Ticks:
    """Seconds in which this process ran, for ages that a frozen one must not gain.

    A gap of more than two ticks (SIGSTOP, a machine put to sleep) counts as two.
    """

    def __init__(self, every: float, now: float) -> None:
        self._longest = _TICKS * every
        self._last = now

    def passed(self, now: float) -> float:
        """Give the seconds since the last call."""
        passed, self._last = min(now - self._last, self._longest), now
        return passed
