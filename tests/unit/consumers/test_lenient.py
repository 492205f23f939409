import struct
from typing import Any

import pytest
from aiokafka import TopicPartition
from aiokafka.client import AIOKafkaClient
from aiokafka.errors import KafkaError, NotLeaderForPartitionError
from aiokafka.record.default_records import _DefaultRecordBatchBuilderPy

from consumers.lenient import RawRecord, fetch_past_hostile
from contracts.headers import is_writable

PARTITION = TopicPartition("t", 0)
NONE, GZIP = 0, 1


class HostileKey(str):
    """A header key that a client in another language wrote in another encoding."""

    __slots__ = ()

    def encode(self, encoding: str = "utf-8", errors: str = "strict") -> bytes:
        del encoding, errors
        return b"caf\xe9"


HOSTILE = HostileKey("café")
Headers = list[tuple[str, bytes | None]]


def encoded(first: int, headers: list[Headers], *, compression: int = NONE) -> bytes:
    """Give a batch of records from an offset on, as a broker sends it."""
    builder = _DefaultRecordBatchBuilderPy(
        magic=2,
        compression_type=compression,
        is_transactional=0,
        producer_id=-1,
        producer_epoch=-1,
        base_sequence=-1,
        batch_size=1 << 20,
    )
    for offset, given in enumerate(headers):
        key, value = (b"k%d" % offset, b"v%d" % offset) if offset % 3 else (None, b"")
        assert builder.append(offset, timestamp=1000 + offset, key=key, value=value, headers=given)
    data = bytearray(builder.build())
    # The builder counts from 0; brokers write where the batch begins.
    struct.pack_into(">q", data, 0, first)
    return bytes(data)


class FakeClient:
    """A broker's answer to one fetch."""

    def __init__(self, data: bytes, *, code: int = 0, leader: int | None = 1) -> None:
        self._data = data
        self._code = code
        self._leader = leader
        self.cluster = self

    def leader_for_partition(self, partition: TopicPartition) -> int | None:
        assert partition == PARTITION
        return self._leader

    async def send(self, leader: int, request: Any) -> Any:
        assert leader == self._leader
        assert request is not None
        parts = [(0, self._code, 99, 99, None, self._data)]
        return type("Response", (), {"topics": [("t", parts)]})()


async def fetch(data: bytes, offset: int = 0, **given: int | None) -> list[RawRecord]:
    client: Any = FakeClient(data, **given)  # type: ignore[arg-type]  # by name
    assert client is not AIOKafkaClient
    return await fetch_past_hostile(client, PARTITION, offset)


@pytest.mark.parametrize("compression", [NONE, GZIP])
async def test_a_hostile_record_is_read_with_all_of_its_batch(compression: int) -> None:
    data = encoded(
        7, [[("a", b"1")], [], [("a", None), (HOSTILE, b"x")], [("b", b"2")]], compression=compression
    )
    records = await fetch(data, 7)
    assert [record.offset for record in records] == [7, 8, 9, 10]
    assert [(record.key, record.value) for record in records] == [
        (None, b""),
        (b"k1", b"v1"),
        (b"k2", b"v2"),
        (None, b""),
    ]
    assert records[0].headers == (("a", b"1"),)
    assert records[2].headers == (("a", None), ("caf\udce9", b"x"))
    assert not is_writable(records[2].headers)
    assert [record.timestamp for record in records] == [1000, 1001, 1002, 1003]
    assert (records[0].topic, records[0].partition) == ("t", 0)
    assert (records[0].serialized_key_size, records[1].serialized_key_size) == (-1, 2)


async def test_records_before_the_position_are_left_out() -> None:
    data = encoded(7, [[(HOSTILE, b"1")], [], [(HOSTILE, b"2")]])
    assert [record.offset for record in await fetch(data, 8)] == [8, 9]


async def test_a_hostile_record_in_a_later_batch() -> None:
    data = encoded(0, [[], []]) + encoded(2, [[("ü", b"")]]) + encoded(3, [[], [(HOSTILE, None)]])
    records = await fetch(data + encoded(5, [[], []]))
    assert [record.offset for record in records] == [0, 1, 2, 3, 4]
    assert records[2].headers == (("ü", b""),)


async def test_a_batch_that_was_cut_off_is_left_for_the_next_fetch() -> None:
    whole, cut = encoded(0, [[], [(HOSTILE, b"1")]]), encoded(2, [[(HOSTILE, b"2")]])
    for end in (1, 11, 12, 17, len(cut) - 1):
        assert [record.offset for record in await fetch(whole + cut[:end])] == [0, 1]
    assert await fetch(cut[:-1]) == []


async def test_from_the_middle_of_a_hostile_batch_its_rest_is_read() -> None:
    """aiokafka decodes the batch from its start, and so never gets past its hostile record."""
    data = encoded(0, [[(HOSTILE, b"1")], [], []]) + encoded(3, [[]])
    assert [record.offset for record in await fetch(data, 1)] == [1, 2]


async def test_nothing_hostile_gives_nothing() -> None:
    assert await fetch(encoded(0, [[], [("a", b"1"), ("ü", None)]])) == []
    assert await fetch(b"") == []


async def test_a_value_that_is_not_utf_8_is_not_hostile() -> None:
    assert await fetch(encoded(0, [[("a", b"\xff\xfe")]])) == []


async def test_a_broker_that_refuses_is_an_error() -> None:
    with pytest.raises(NotLeaderForPartitionError):
        await fetch(b"", code=6)
    for leader in (None, -1):
        with pytest.raises(KafkaError, match="no leader"):
            await fetch(b"", leader=leader)
