"""As many bad records as good ones, mixed: all good ones are logged, each bad one is one dead letter.

``FEEDBACK_FUZZ_RECORDS`` sets how many of each (10,000 by ``make fuzz``), ``FEEDBACK_FUZZ_SEED`` which.
"""

import os
import random
import time
from collections import Counter, defaultdict
from uuid import UUID

import pytest
from aiokafka import AIOKafkaProducer
from support.consumers import Consumers
from support.fuzz import COMMENT, Fuzz, Raw
from support.hostile import send_raw
from support.world import (
    assessments,
    dead_letters,
    outcomes,
    receipts,
    wait_until_settled,
    write_traces,
)

from consumers.settings import Settings
from contracts.headers import DeadLetterHeaders

RECORDS = int(os.environ.get("FEEDBACK_FUZZ_RECORDS", "1000"))
SEED = int(os.environ.get("FEEDBACK_FUZZ_SEED", "0")) or random.randrange(1, 10**9)

Place = tuple[str, int, int]
"""Topic, partition and offset."""


@pytest.mark.timeout(900)
async def test_bad_records_cost_no_good_one(
    settings: Settings, consumers: Consumers, capsys: pytest.CaptureFixture[str]
) -> None:
    print(f"seed {SEED}: run it again with FEEDBACK_FUZZ_SEED={SEED} FEEDBACK_FUZZ_RECORDS={RECORDS}")  # noqa: T201
    fuzz = Fuzz(SEED, [trace.request_id for trace in write_traces(settings, 100)])
    good = dict(fuzz.good() for _ in range(RECORDS))
    misplaced = [fuzz.good()[1] for _ in range(RECORDS // 20)]
    bad = [fuzz.bad() for _ in range(RECORDS - len(misplaced))]
    running = await consumers.start("all")
    began = time.monotonic()
    sent = await _send(settings, [*good.values(), *bad], misplaced)
    await wait_until_settled(settings, seconds=60 + RECORDS / 30)
    seconds = time.monotonic() - began

    found = Counter(UUID(held["metadata"]["feedback.event_id"]) for held in assessments(settings))
    assert found == Counter(good.keys())
    assert outcomes(await receipts(settings)) == Counter(logged=RECORDS)
    expected = {place: record for place, record in sent.items() if record not in set(good.values())}
    assert len(expected) == RECORDS
    letters = await dead_letters(settings)
    assert Counter(_place(letter.said) for letter in letters) == Counter(expected.keys())
    for letter in letters:
        record = expected[_place(letter.said)]
        said = letter.said
        assert (said.reason, said.null_key, said.null_value) == (
            "undecodable",
            record.key is None,
            record.value is None,
        )
        assert (letter.record.key, letter.record.value) == (record.key, record.value or b"")
        assert tuple(letter.headers) == record.headers
        assert said.detail
        assert COMMENT not in said.detail
    assert COMMENT not in running.log.read_text()
    with capsys.disabled():
        print(f" [{RECORDS} good and {RECORDS} bad records in {seconds:.1f} s, seed {SEED}]", end="")  # noqa: T201


def _place(said: DeadLetterHeaders) -> Place:
    return (said.origin_topic, said.origin_partition, said.origin_offset)


async def _send(settings: Settings, records: list[Raw], misplaced: list[Raw]) -> dict[Place, Raw]:
    """Send feedback mixed over all partitions, and good feedback to the chats' topic."""
    randomness = random.Random(SEED)
    randomness.shuffle(records)
    places: dict[tuple[str, int], list[Raw]] = defaultdict(list)
    for record in records:
        partition = randomness.randrange(settings.topic_partitions)
        places[settings.topics.feedback_submitted, partition].append(record)
    for record in misplaced:
        places[settings.topics.chat_completed, randomness.randrange(settings.topic_partitions)].append(record)
    producer = AIOKafkaProducer(**settings.kafka.options())
    await producer.start()
    try:
        return {
            (topic, partition, offset): record
            for (topic, partition), ours in places.items()
            for offset, record in zip(await send_raw(producer, topic, partition, ours), ours, strict=True)
        }
    finally:
        await producer.stop()
