"""What bad records cost: decoding alone and the whole pipeline over ports in memory, beside raw parsing.

``python -m bench.poison [--records N] [--json]``: records a second at 0, 10 and 50 % bad ones, each the best
of some runs, beside two ceilings on the same good records in the same run: `json.loads`, and pydantic's own
JSON to the event's model in one step. No Kafka, no MLflow: only what our code does with each record,
in processor time of one core, so that other work on the machine counts less.
"""

import argparse
import asyncio
import json
import platform
import random
import sys
import time
from collections.abc import Callable, Sequence
from dataclasses import asdict, dataclass
from datetime import UTC, datetime
from importlib.metadata import version
from typing import Final
from uuid import UUID

from rich.console import Console
from rich.table import Table

from contracts.events import FeedbackSubmitted, Segment
from pipeline.chat import Chat
from pipeline.decode import decode
from pipeline.feedback_pipeline import FeedbackPipeline, Ports
from pipeline.memory import MemoryChats, MemoryFeedback, MemoryOutbox, MemorySink, MemoryTraces
from pipeline.metrics import NoMetrics
from pipeline.patience import Patience
from pipeline.patterns import KINDS, parse_patterns
from pipeline.records import Record
from pipeline.redaction import Redaction

SEED: Final = 7
RUNS: Final = 5
BATCH: Final = 500
CHATS: Final = 100
SHARES: Final = (0.0, 0.1, 0.5)
COMMENT: Final = "The answer was helpful but missed the second half of what I had asked about the invoice."


@dataclass(frozen=True, slots=True)
class Measured:
    """Records a second (of one core's processor time) of one thing at one share of bad records."""

    what: str
    bad: float
    records_per_second: int


def make_records(count: int, bad: float) -> list[Record]:
    """Give records of which a share is bad: each of a few usual mistakes in turn."""
    randomness = random.Random(SEED)  # noqa: S311 - sample data
    return [_record(number, _value(number, randomness, bad)) for number in range(count)]


def _record(number: int, value: bytes) -> Record:
    timestamp = int(datetime.now(UTC).timestamp() * 1000)
    return Record("feedback-submitted", 0, number, timestamp, b"k", value)


def _value(number: int, randomness: random.Random, bad: float) -> bytes:
    document = {
        "type": "FeedbackSubmitted",
        "event_id": str(UUID(int=randomness.getrandbits(128), version=4)),
        "client_request_id": f"req-{number % CHATS}",
        "source": {"type": "HUMAN", "id": f"user-{number}"},
        "submitted_at": "2026-01-31T12:00:00Z",
        "metadata": {"page": str(number)},
        "assessments": [{"name": "helpful", "value": True, "rationale": COMMENT}],
    }
    if randomness.random() >= bad:
        return json.dumps(document).encode()
    wrong = [
        json.dumps(document).encode()[: randomness.randrange(1, 200)],
        json.dumps(document | {"client_request_id": "no such id!"}).encode(),
        json.dumps(document | {"assessments": []}).encode(),
        json.dumps(document | {"submitted_at": "yesterday", "source": {"type": "ROBOT"}}).encode(),
        randomness.randbytes(300),
    ]
    return wrong[number % len(wrong)]


def measure(count: int) -> list[Measured]:
    """Measure everything, each as the best of `RUNS` runs."""
    good = [record.value or b"" for record in make_records(count, 0)]
    found = [
        Measured("json.loads", 0, _rate(count, lambda: [json.loads(value) for value in good])),
        Measured(
            "pydantic JSON to model",
            0,
            _rate(count, lambda: [FeedbackSubmitted.model_validate_json(value) for value in good]),
        ),
    ]
    patterns = Redaction(patterns=parse_patterns(json.dumps(KINDS)))
    for bad in SHARES:
        records = make_records(count, bad)
        found += [
            Measured("decode", bad, _rate(count, lambda records=records: decode(records))),  # type: ignore[misc]
            Measured(
                "decode and redact",
                bad,
                _rate(count, lambda records=records: decode(records, patterns)),  # type: ignore[misc]
            ),
            Measured(
                "pipeline in memory",
                bad,
                _rate(count, lambda records=records: asyncio.run(_settle(records))),  # type: ignore[misc]
            ),
        ]
    return found


def _rate(count: int, run: Callable[[], object]) -> int:
    seconds = []
    for _ in range(RUNS):
        began = time.process_time()
        run()
        seconds.append(time.process_time() - began)
    return round(count / min(seconds))


async def _settle(records: Sequence[Record]) -> None:
    chats = MemoryChats()
    await chats.upsert([_chat(number) for number in range(CHATS)])
    outbox = MemoryOutbox()
    ports = Ports(
        chats=chats, feedback=MemoryFeedback(), traces=MemoryTraces(), sink=MemorySink(), outbox=outbox
    )
    pipeline = FeedbackPipeline(ports, Patience(NoMetrics()), NoMetrics())
    for start in range(0, len(records), BATCH):
        await pipeline.run(records[start : start + BATCH])
    if len(outbox.receipts) + len(outbox.dead_letters) != len(records):
        msg = "not every record has ended"
        raise RuntimeError(msg)


def _chat(number: int) -> Chat:
    return Chat(
        client_request_id=f"req-{number}",
        trace_id=f"tr-{number}",
        completed_at=datetime(2026, 1, 31, tzinfo=UTC),
        event_id=UUID(int=number),
        segment=Segment(environment="production"),
    )


def _show(found: Sequence[Measured]) -> None:
    ceiling = next(item for item in found if item.what == "pydantic JSON to model")
    table = Table("what", "bad", "records/s", "of pydantic's")
    for item in found:
        share = f"{item.records_per_second / ceiling.records_per_second:.0%}"
        table.add_row(item.what, f"{item.bad:.0%}", f"{item.records_per_second:,}", share)
    Console().print(table)


def main() -> None:
    """Measure, and print a table or JSON."""
    parser = argparse.ArgumentParser(prog="python -m bench.poison", description=__doc__)
    parser.add_argument("--records", type=int, default=20_000)
    parser.add_argument("--json", action="store_true", dest="as_json")
    arguments = parser.parse_args()
    found = measure(arguments.records)
    if arguments.as_json:
        versions = {"python": platform.python_version(), "pydantic": version("pydantic")}
        rows = [asdict(item) for item in found]
        sys.stdout.write(
            json.dumps({"records": arguments.records, "versions": versions, "rows": rows}) + "\n"
        )
    else:
        _show(found)


if __name__ == "__main__":
    main()
