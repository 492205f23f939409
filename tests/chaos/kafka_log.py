"""What Kafka itself holds, read by another client than the one under test: records, commits, lag."""

import struct
import time
from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass
from typing import Any, Final, TypeVar

from confluent_kafka import (
    Consumer,
    KafkaError,
    KafkaException,
    Message,
    TopicPartition,
)
from confluent_kafka.admin import (  # type: ignore[attr-defined]  # it exports all three
    AdminClient,
    NewPartitions,
)

T = TypeVar("T")
Place = tuple[str, int]
"""Topic and partition."""

_COMMITS: Final = "__consumer_offsets"
_ASK_SECONDS: Final = 10
_READ_SECONDS: Final = 60
_POLL_SECONDS: Final = 0.5
_COMMIT_KEYS: Final = (0, 1)


@dataclass(frozen=True, slots=True)
class Held:
    """One record as the broker holds it; ``milliseconds`` since 1970 are the broker's or the producer's."""

    topic: str
    partition: int
    offset: int
    milliseconds: int
    key: bytes | None
    value: bytes | None
    headers: tuple[tuple[str, bytes | None], ...]


@dataclass(frozen=True, slots=True)
class Commit:
    """One commit: the group, where it reads on, and when the broker took it."""

    group: str
    topic: str
    partition: int
    offset: int
    milliseconds: int


class KafkaLog:
    """Reads a cluster from outside; all methods block.

    By plain consumers alone: librdkafka's admin client crashed the process when it asked for offsets while
    leaders moved.
    """

    def __init__(self, bootstrap: str) -> None:
        self._bootstrap = bootstrap
        self._askers: dict[str, Consumer] = {}

    def close(self) -> None:
        """Disconnect."""
        for asker in self._askers.values():
            asker.close()
        self._askers.clear()

    def topics(self, prefix: str) -> dict[str, int]:
        """Give the topics that begin so, with their number of partitions."""
        found = self._asker().list_topics(timeout=_ASK_SECONDS).topics
        return {name: len(topic.partitions) for name, topic in found.items() if name.startswith(prefix)}

    def ends(self, topics: Iterable[str]) -> dict[Place, int]:
        """Give where each partition ends now."""
        counts = self.topics("")
        places = [TopicPartition(topic, n) for topic in topics for n in range(counts.get(topic, 0))]
        asker = self._asker()
        return {
            (place.topic, place.partition): asker.get_watermark_offsets(place, timeout=_ASK_SECONDS)[1]
            for place in places
        }

    def committed(self, group: str, places: Iterable[Place]) -> dict[Place, int]:
        """Give where a group reads on, of these partitions."""
        asked = [TopicPartition(*place) for place in places]
        told = self._asker(group).committed(asked, timeout=_ASK_SECONDS)
        for place in told:
            if place.error is not None:
                raise KafkaException(place.error)
        return {(place.topic, place.partition): place.offset for place in told if place.offset >= 0}

    def _asker(self, group: str = "chaos-asker") -> Consumer:
        if group not in self._askers:
            self._askers[group] = self._consumer(group)
        return self._askers[group]

    def _consumer(self, group: str) -> Consumer:
        return Consumer(
            {
                "bootstrap.servers": self._bootstrap,
                "group.id": group,
                "enable.auto.commit": False,
                "auto.offset.reset": "earliest",
                "enable.partition.eof": True,
                "log_level": 0,
            }
        )

    def add_partitions(self, topic: str, count: int) -> None:
        """Make so many partitions out of those that a topic has."""
        admin = AdminClient({"bootstrap.servers": self._bootstrap, "log_level": 0})
        for future in admin.create_partitions([NewPartitions(topic, count)]).values():
            future.result()

    def read(self, topic: str, start: Mapping[Place, int] | None = None) -> list[Held]:
        """Read a topic from ``start``, or its beginning, to where it ends now."""
        return self._read(topic, start or {}, _held)

    def commits(self, prefix: str, start: Mapping[Place, int]) -> list[Commit]:
        """Read every single commit of the groups that begin so, from the brokers' own log of commits."""
        found = self._read(_COMMITS, start, _commit)
        return [commit for commit in found if commit is not None and commit.group.startswith(prefix)]

    def commits_end(self) -> dict[Place, int]:
        """Give where the log of commits ends now."""
        return self._sure_ends(_COMMITS)

    def _sure_ends(self, topic: str) -> dict[Place, int]:
        """Give where each partition ends, asked again while leaders are being chosen, as in a new cluster."""
        deadline = time.monotonic() + _ASK_SECONDS
        while True:
            try:
                return self.ends([topic])
            except KafkaException:
                if time.monotonic() > deadline:
                    raise
                time.sleep(_POLL_SECONDS)

    def _read(self, topic: str, start: Mapping[Place, int], take: Callable[[Message], T]) -> list[T]:
        ends = {place: end for place, end in self._sure_ends(topic).items() if end > start.get(place, 0)}
        if not ends:
            return []
        consumer = self._consumer("chaos-reader")
        try:
            consumer.assign([TopicPartition(*place, start.get(place, 0)) for place in ends])
            return _read_to(consumer, set(ends), take)
        finally:
            consumer.close()


def _read_to(consumer: Consumer, left: set[Place], take: Callable[[Message], T]) -> list[T]:
    found: list[T] = []
    deadline = time.monotonic() + _READ_SECONDS
    while left:
        if time.monotonic() > deadline:
            msg = f"Kafka did not give all records within {_READ_SECONDS} s; missing: {left}"
            raise TimeoutError(msg)
        for message in consumer.consume(1000, _POLL_SECONDS):
            error = message.error()
            if error is None:
                found.append(take(message))
            elif error.code() == KafkaError._PARTITION_EOF:
                left.discard((str(message.topic()), int(message.partition() or 0)))
            else:
                raise KafkaException(error)
    return found


def _held(message: Message) -> Held:
    headers: Any = message.headers() or []
    return Held(
        str(message.topic()),
        int(message.partition() or 0),
        int(message.offset() or 0),
        int(message.timestamp()[1]),
        _raw(message.key()),
        _raw(message.value()),
        tuple((name, _raw(value)) for name, value in headers),
    )


def _raw(part: str | bytes | None) -> bytes | None:
    return part.encode() if isinstance(part, str) else part


def _commit(message: Message) -> Commit | None:
    """Take a record of the log of commits apart (kafka.coordinator.group, OffsetCommitKey and -Value)."""
    key, value = _raw(message.key()) or b"", _raw(message.value())
    if value is None or struct.unpack_from(">h", key)[0] not in _COMMIT_KEYS:
        return None
    group, at = _text(key, 2)
    topic, at = _text(key, at)
    (partition,) = struct.unpack_from(">i", key, at)
    _, offset = struct.unpack_from(">hq", value)
    return Commit(group, topic, partition, offset, int(message.timestamp()[1]))


def _text(data: bytes, at: int) -> tuple[str, int]:
    (length,) = struct.unpack_from(">h", data, at)
    end = at + 2 + length
    return data[at + 2 : end].decode(), end
