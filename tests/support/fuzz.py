"""Bad records by a seed: wrong shapes, torn and random bytes, events of other topics, hostile headers."""

import json
import random
import string
from collections.abc import Callable
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from typing import Any, Final
from uuid import UUID

Header = tuple[str, bytes | None]
Json = dict[str, Any]

COMMENT: Final = "a comment that nobody may quote"


@dataclass(frozen=True, slots=True)
class Raw:
    """A record to be sent as it is."""

    key: bytes | None
    value: bytes | None
    headers: tuple[Header, ...] = ()


class Fuzz:
    """Records by a seed; the same seed gives the same ones, but for the time that it is now."""

    def __init__(self, seed: int, request_ids: list[str]) -> None:
        self._random = random.Random(seed)
        self._request_ids = request_ids
        self._now = datetime.now(UTC)
        self._number = 0

    def good(self) -> tuple[UUID, Raw]:
        """Give a good event of its own feedback, with its event_id; every tenth has hostile headers."""
        document = self._event()
        headers = self.headers() if self._random.random() < 0.1 else ()
        key = self._random.choice([document["client_request_id"].encode(), None, b"", b"\xff\xfe"])
        return UUID(document["event_id"]), Raw(key, json.dumps(document).encode(), headers)

    def bad(self) -> Raw:
        """Give a record that breaks the contract."""
        value = self._random.choice(_KINDS)(self)
        key = self._random.choice([b"k", None, b"", b"\x00\xff", self._random.randbytes(40)])
        return Raw(key, value, self.headers())

    def headers(self) -> tuple[Header, ...]:
        """Give some headers: doubled ones, null, not UTF-8, large, and such as look like ours."""
        some: list[Header] = [
            ("plain", b"1"),
            ("twice", b"1"),
            ("twice", b"\xff"),
            ("null", None),
            ("", b""),
            ("not-utf-8", b"\xff\xfe\x00"),
            ("large", b"x" * 2000),
            ("feedback-reason", b"rejected"),
            ("feedback-original-headers", b"[[]]"),
            ("feedback-attempt", b"99"),
            ("content-type", b"application/octet-stream; charset=\xff"),
            ("traceparent", b"00-\x00"),
            ("ключ 🎉", b"1"),
        ]
        headers = self._random.sample(some, self._random.randrange(4))
        if self._random.random() < 0.02:
            headers.append(("\udcff\udcfe not UTF-8", b"1"))
        return tuple(headers)

    def _event(self) -> Json:
        self._number += 1
        return {
            "type": "FeedbackSubmitted",
            "event_id": str(UUID(int=self._random.getrandbits(128), version=4)),
            "client_request_id": self._random.choice(self._request_ids),
            "source": {"type": "HUMAN", "id": f"user-{self._number}"},
            "submitted_at": self._now.isoformat(),
            "metadata": {"page": COMMENT},
            "assessments": [
                {
                    "name": "helpful",
                    "value": self._random.choice([True, 0.5, COMMENT, ["a", 1], {"a": 1}]),
                    "rationale": COMMENT,
                }
            ],
        }

    def _null(self) -> None:
        return None

    def _empty(self) -> bytes:
        return b""

    def _torn(self) -> bytes:
        data = json.dumps(self._event()).encode()
        return data[: self._random.randrange(1, len(data))]

    def _flipped(self) -> bytes:
        """Break one of the quotes and brackets of a good event."""
        data = bytearray(json.dumps(self._event()).encode())
        place = self._random.choice([at for at, byte in enumerate(data) if byte in b'{}[]:"'])
        data[place] = 0xFF
        return bytes(data)

    def _noise(self) -> bytes:
        return self._random.randbytes(self._random.randrange(1, 3000))

    def _other_encoding(self) -> bytes:
        encoding = self._random.choice(["utf-16", "utf-16-be", "utf-32", "utf-8-sig"])
        return json.dumps(self._event()).encode(encoding)

    def _nested(self) -> bytes:
        depth = self._random.randrange(201, 100_000)
        return self._random.choice([b"[", b'{"a":']) * depth

    def _any_json(self) -> bytes:
        return json.dumps(self._shape(4)).encode()

    def _wrong_field(self) -> bytes:
        """Put something else in place of a field that must not be so."""
        event = self._event()
        event[self._random.choice(sorted(event))] = self._random.choice([[], 7, "no such thing", "\x00"])
        return json.dumps(event).encode()

    def _missing_field(self) -> bytes:
        event = self._event()
        del event[self._random.choice(sorted(event.keys() - {"metadata"}))]
        return json.dumps(event).encode()

    def _wrong_assessment(self) -> bytes:
        event = self._event()
        wrong: list[Json] = [
            {"value": None},
            {"value": [[COMMENT]]},
            {"value": {"a": None}},
            {"value": 2**53 + self._random.randrange(1, 10**9)},
            {"value": "\x00" + COMMENT},
            {"value": "x" * 61_440},
            {"name": ""},
            {"name": "n" * 251},
            {"name": [COMMENT]},
            {"kind": COMMENT},
            {"kind": "expectation"},
            {"rationale": "x" * 16_385},
            {"rationale": {COMMENT: 1}},
        ]
        event["assessments"][0] |= self._random.choice(wrong)
        return json.dumps(event).encode()

    def _wrong_number(self) -> bytes:
        event = self._event()
        event["assessments"][0]["value"] = "the hole"
        number = self._random.choice(
            ["1e400", "-1e999", "NaN", "-Infinity", "9" * 5000, "01", "1.", "+1", "0x1"]
        )
        return json.dumps(event).replace('"the hole"', number).encode()

    def _hostile_text(self) -> bytes:
        event = self._event()
        event["assessments"][0]["rationale"] = "the hole"
        text = self._random.choice(["\\ud800", "\\udc00\\ud800", "\\u0000", "\\x41", "\t", "\\u12"])
        return json.dumps(event).replace("the hole", text).encode()

    def _wrong_reference(self) -> bytes:
        letters = self._random.choice(["a' OR '1'='1", "x" * 51, "", "größe", "a\n", "`a`", COMMENT])
        return json.dumps(self._event() | {"client_request_id": letters}).encode()

    def _wrong_time(self) -> bytes:
        ahead = (self._now + timedelta(minutes=self._random.randrange(20, 10**6))).isoformat()
        time = self._random.choice([ahead, "2026-01-01", "2026-02-30T00:00:00Z", 1_769_860_800, None, "now"])
        return json.dumps(self._event() | {"submitted_at": time}).encode()

    def _too_many(self) -> bytes:
        count = self._random.choice([0, 33, 5000])
        said = [{"name": f"n{number}", "value": 1} for number in range(count)]
        return json.dumps(self._event() | {"assessments": said}).encode()

    def _other_event(self) -> bytes:
        """Give a good event that belongs into another topic, or one that nobody knows."""
        event = self._event()
        chat = {key: event[key] for key in ("event_id", "client_request_id")}
        chat |= {"type": "ChatCompleted", "completed_at": event["submitted_at"]}
        other = event | {"type": self._random.choice(["FeedbackLogged", "feedbacksubmitted", COMMENT])}
        return json.dumps(self._random.choice([chat, other])).encode()

    def _nobody_s_withdrawal(self) -> bytes:
        event = self._event() | {
            "type": "FeedbackWithdrawn",
            "names": ["helpful"],
            "source": {"type": "HUMAN"},
        }
        return json.dumps(event).encode()

    def _shape(self, depth: int) -> Any:
        chosen = self._random.randrange(7 if depth else 5)
        if chosen < 5:
            text = "".join(self._random.choices(string.printable, k=8))
            return [None, True, self._random.random(), self._random.getrandbits(70), text][chosen]
        parts = [self._shape(depth - 1) for _ in range(self._random.randrange(4))]
        return parts if chosen == 5 else {f"k{number}": part for number, part in enumerate(parts)}


_KINDS: Final[list[Callable[[Fuzz], bytes | None]]] = [
    Fuzz._null,
    Fuzz._empty,
    Fuzz._torn,
    Fuzz._flipped,
    Fuzz._noise,
    Fuzz._other_encoding,
    Fuzz._nested,
    Fuzz._any_json,
    Fuzz._wrong_field,
    Fuzz._missing_field,
    Fuzz._wrong_assessment,
    Fuzz._wrong_number,
    Fuzz._hostile_text,
    Fuzz._wrong_reference,
    Fuzz._wrong_time,
    Fuzz._too_many,
    Fuzz._other_event,
    Fuzz._nobody_s_withdrawal,
]
