"""The ledger of a run: the truth against what MLflow, the receipts, the dead letters and the commits say."""

import json
from bisect import bisect_right
from collections import Counter, defaultdict
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from datetime import datetime
from typing import Any, Final, Literal
from uuid import UUID

from chaos.kafka_log import Commit, Held
from chaos.publishing import Ack
from chaos.stores import Assessment
from chaos.truth import Truth, Unit, Version
from contracts.identity import assessment_id

Wrong = Literal["lost", "doubled", "stale", "outcome", "letter", "commit", "process", "progress", "rig"]
"""What kind of promise a difference breaks; ``rig`` means that the suite itself cannot be trusted."""

Place = tuple[str, int, int]

_SEGMENT: Final = (
    "session_id",
    "user_id",
    "environment",
    "app_version",
    "deployment_id",
    "region",
)
# The brokers' clocks are one, but a time is cut to milliseconds, and dead letters carry their producer's.
_SLACK_MS: Final = 5


@dataclass(frozen=True, slots=True)
class Difference:
    """One thing that is not as it must be, with all that is needed to find it."""

    wrong: Wrong
    text: str

    def __str__(self) -> str:
        return f"{self.wrong}: {self.text}"


@dataclass(slots=True)
class Evidence:
    """Everything that was found at the end of a run."""

    acks: Sequence[Ack]
    feedback_log: Sequence[Held]
    chat_log: Sequence[Held]
    receipts: Sequence[Held]
    dead_letters: Sequence[Held]
    parked: Sequence[Held]
    commits: Sequence[Commit]
    assessments: Sequence[Assessment]
    chats: Mapping[str, str | None]
    chat_nonsense: Sequence[Held] = ()


@dataclass(frozen=True, slots=True)
class _Told:
    """What the outcome topics say of one unit: each receipt's outcome and reason, and when it was there."""

    outcomes: list[tuple[int, str, str | None]] = field(default_factory=list)

    @property
    def distinct(self) -> set[str]:
        return {outcome for _, outcome, _ in self.outcomes}


@dataclass(slots=True)
class Ledger:
    """The differences of a run, and its counts."""

    differences: list[Difference]
    counts: Counter[str]


def compare(truth: Truth, found: Evidence) -> Ledger:
    """Compare the truth with everything that was found."""
    told = _read_receipts(found.receipts)
    letters = _by_origin(found.dead_letters)
    known = {version.unit: version for versions in truth.versions.values() for version in versions}
    parts = (
        _rig(found),
        _outcomes(truth, known, told),
        _in_mlflow(truth, told, found.assessments),
        _letters(truth, found, letters),
        _commits(truth, found, told, letters),
        _parked_commits(found, told),
        _index(found),
    )
    differences = [difference for part in parts for difference in part]
    counts = Counter(
        records=len(found.feedback_log) + len(found.chat_log),
        units=len(known),
        assessments=len(found.assessments),
        parked=len(found.parked),
        redelivered=_redelivered(truth, found, told),
        late=sum(len(truth.own_outcomes(version)) > 1 for version in known.values()),
        rewinds=_rewinds(found.commits),
    )
    counts.update(outcome for unit in known if unit in told for outcome in sorted(told[unit].distinct)[:1])
    return Ledger(differences, counts)


def _read_receipts(receipts: Iterable[Held]) -> dict[Unit, _Told]:
    told: dict[Unit, _Told] = defaultdict(_Told)
    for held in receipts:
        said = json.loads(held.value or b"")
        unit = UUID(said["event_id"]), UUID(said["feedback_id"])
        told[unit].outcomes.append((held.milliseconds, said["outcome"], said.get("reason")))
    return dict(told)


def _by_origin(letters: Iterable[Held]) -> dict[Place, list[Held]]:
    found: dict[Place, list[Held]] = defaultdict(list)
    for held in letters:
        said = _said(held)
        origin = said["feedback-origin-topic"], int(said["feedback-origin-partition"])
        found[*origin, int(said["feedback-origin-offset"])].append(held)
    return dict(found)


def _said(held: Held) -> dict[str, str]:
    return {name: (value or b"").decode() for name, value in held.headers if name.startswith("feedback-")}


def _place(held: Held) -> Place:
    return held.topic, held.partition, held.offset


def _at(held: Held) -> str:
    return f"{held.topic}[{held.partition}]@{held.offset} {_clock(held.milliseconds)}"


def _clock(milliseconds: float) -> str:
    return datetime.fromtimestamp(milliseconds / 1000).strftime("%H:%M:%S.%f")[:-3]  # noqa: DTZ006 - as in the logs


def _named(version: Version) -> str:
    return (
        f"event {version.event_id} feedback {version.feedback_id} {version.name!r} of "
        f"{version.request_id or version.trace_id}, submitted {version.submitted_at.isoformat()}, "
        f"{_at(version.first)}"
    )


def _rig(found: Evidence) -> Iterator[Difference]:
    """Each acknowledged record stands in Kafka as it was sent, else nothing below proves anything."""
    log = {_place(held): held for held in (*found.feedback_log, *found.chat_log)}
    for ack in found.acks:
        held = log.get((ack.topic, ack.partition, ack.offset))
        if held is None or (held.key, held.value) != (ack.key, ack.value):
            yield Difference(
                "rig", f"acknowledged, but not in Kafka: {ack.topic}[{ack.partition}]@{ack.offset}"
            )


def _outcomes(
    truth: Truth, known: Mapping[Unit, Version], told: Mapping[Unit, _Told]
) -> Iterator[Difference]:
    for unit, version in known.items():
        if unit not in told:
            yield Difference("lost", f"no receipt for {_named(version)}")
            continue
        allowed, distinct = truth.outcomes(version), told[unit].distinct
        if not distinct <= allowed or len(distinct) != 1:
            yield Difference("outcome", f"{sorted(distinct)}, not {sorted(allowed)}: {_named(version)}")
        reasons = {reason for _, outcome, reason in told[unit].outcomes if outcome == "dead-lettered"}
        if reasons - {truth.reason(version)}:
            yield Difference("outcome", f"dead for {reasons}, not {truth.reason(version)}: {_named(version)}")
    for unit in told.keys() - known.keys():
        yield Difference("outcome", f"a receipt that nobody asked for: event {unit[0]} feedback {unit[1]}")


def _in_mlflow(
    truth: Truth, told: Mapping[Unit, _Told], assessments: Iterable[Assessment]
) -> Iterator[Difference]:
    rows: dict[str, list[Assessment]] = defaultdict(list)
    for row in assessments:
        rows[row.assessment_id].append(row)
    for feedback_id, versions in truth.versions.items():
        newest = truth.newest(feedback_id)
        mine = rows.pop(assessment_id(feedback_id), [])
        is_logged = newest.unit in told and "logged" in told[newest.unit].distinct
        must = truth.own_outcomes(newest) == {"logged"} or (
            "logged" in truth.own_outcomes(newest) and is_logged
        )
        if must:
            if not mine:
                yield Difference("lost", f"not in MLflow: {_named(newest)}")
            for row in mine:
                yield from _differs(truth, newest, versions, row)
        elif mine:
            why = "withdrawn" if newest.is_withdrawal else "dead-lettered"
            yield Difference("stale", f"in MLflow, but {why}: {_shown(mine[0])}; {_named(newest)}")
        if len(mine) > 1:
            yield Difference("doubled", f"{len(mine)} assessments: {_named(newest)}")
    for others in rows.values():
        for row in others:
            yield Difference("doubled", f"an assessment that nobody asked for: {_shown(row)}")


def _shown(row: Assessment) -> str:
    event, version = (row.metadata.get(f"feedback.{name}") for name in ("event_id", "version"))
    return f"{row.assessment_id} on {row.trace_id} holds event {event} of {version}"


def _differs(
    truth: Truth, newest: Version, versions: Sequence[Version], row: Assessment
) -> Iterator[Difference]:
    if row.metadata.get("feedback.event_id") != str(newest.event_id):
        older = {str(version.event_id) for version in versions}
        wrong: Wrong = "stale" if row.metadata.get("feedback.event_id") in older else "doubled"
        yield Difference(wrong, f"{_shown(row)}, not {_named(newest)}")
        return
    want = {
        "name": newest.name,
        "kind": newest.kind,
        "value": newest.value,
        "rationale": newest.rationale or None,
        "source": (newest.source_type, newest.source_id or "default"),
        "valid": True,
    }
    have = {
        "name": row.name,
        "kind": row.kind,
        "value": row.value,
        "rationale": row.rationale or None,
        "source": (row.source_type, row.source_id or "default"),
        "valid": row.is_valid,
    }
    for name, value in want.items():
        if not same(value, have[name]):
            yield Difference(
                "stale", f"{name} is {have[name]!r}, not {value!r}: {_shown(row)}; {_named(newest)}"
            )
    if row.trace_id not in truth.traces(newest):
        yield Difference("doubled", f"on another trace than {truth.traces(newest)}: {_shown(row)}")
    for text in _metadata(truth, newest, row):
        yield Difference("stale", f"metadata {text}: {_shown(row)}; {_named(newest)}")


def _metadata(truth: Truth, newest: Version, row: Assessment) -> Iterator[str]:
    segment = truth.segments.get(newest.request_id or newest.trace_id or "", {})
    marks = {"feedback.event_id": str(newest.event_id)}
    if newest.request_id:
        marks["feedback.client_request_id"] = newest.request_id
    want = {**newest.metadata, **marks}
    have = {key: value for key, value in row.metadata.items() if value != ""}
    if datetime.fromisoformat(have.pop("feedback.version", "1970-01-01T00:00:00Z")) != newest.submitted_at:
        yield "feedback.version differs"
    for key, value in want.items():
        if have.get(key) != value:
            yield f"{key} is {have.get(key)!r}, not {value!r}"
    for key in have.keys() - want.keys():
        # Whether the chat's event had come when this was written is not certain; what it says is.
        if key not in _SEGMENT or have[key] != segment.get(key):
            yield f"{key} is {have[key]!r}, which nobody said"


def same(one: Any, other: Any) -> bool:
    """Tell whether two JSON values are the same; 1 and 1.0 are, 1 and true are not."""
    if isinstance(one, bool) or isinstance(other, bool):
        return one is other
    if isinstance(one, list) and isinstance(other, list):
        return len(one) == len(other) and all(map(same, one, other))
    if isinstance(one, dict) and isinstance(other, dict):
        return one.keys() == other.keys() and all(same(one[key], other[key]) for key in one)
    return bool(one == other)


def _letters(truth: Truth, found: Evidence, letters: Mapping[Place, Sequence[Held]]) -> Iterator[Difference]:
    """Each nonsense is there with its reason and its bytes, each dead unit too, and nothing else."""
    versions = {version.unit: version for many in truth.versions.values() for version in many}
    nonsense = {_place(held): held for held in (*truth.nonsense, *found.chat_nonsense)}
    log = {_place(held): held for held in (*found.feedback_log, *found.chat_log)}
    for place, held in nonsense.items():
        if place not in letters:
            yield Difference("lost", f"nonsense that is no dead letter: {_at(held)}")
    for place, copies in letters.items():
        original = log.get(place)
        if original is None:
            yield Difference("letter", f"a dead letter of no record: {place}")
            continue
        units = [versions[unit] for unit in truth.units_of.get(place, ())]
        allowed = {truth.reason(v) for v in units if "dead-lettered" in truth.own_outcomes(v)}
        for letter in copies:
            yield from _letter(letter, original, {"undecodable"} if place in nonsense else allowed)
    yield from _missing_letters(truth, versions, letters)


def _missing_letters(
    truth: Truth, versions: Mapping[Unit, Version], letters: Mapping[Place, Sequence[Held]]
) -> Iterator[Difference]:
    """Look for the letter of each unit that can only end in one; any of an event's records may have it."""
    dead = {unit for place in letters for unit in truth.units_of.get(place, ())}
    for unit, version in versions.items():
        if truth.outcomes(version) == {"dead-lettered"} and unit not in dead:
            yield Difference("lost", f"no dead letter for {_named(version)}")


def _letter(letter: Held, original: Held, reasons: set[str]) -> Iterator[Difference]:
    said = _said(letter)
    if said["feedback-reason"] not in reasons:
        yield Difference(
            "letter", f"reason {said['feedback-reason']}, not {sorted(reasons)}: {_at(original)}"
        )
    kept = letter.key, letter.value or b"", letter.headers[: len(original.headers)]
    if kept != (original.key, original.value or b"", original.headers):
        yield Difference("letter", f"other bytes than its original {_at(original)}: {_at(letter)}")
    added = letter.headers[len(original.headers) :]
    if not all(name.startswith("feedback-") for name, _ in added):
        yield Difference("letter", f"headers that are neither the original's nor ours: {_at(letter)}")
    nulls = said["feedback-null-key"], said["feedback-null-value"]
    if nulls != (str(original.key is None).lower(), str(original.value is None).lower()):
        yield Difference("letter", f"null and empty are mixed up: {_at(letter)}")


def _commits(
    truth: Truth, found: Evidence, told: Mapping[Unit, _Told], letters: Mapping[Place, Sequence[Held]]
) -> Iterator[Difference]:
    """No commit passes a record before each of its units has an outcome, or is parked."""
    passed = FirstPass(found.commits)
    parked = _parked_times(found.parked)
    dead = {place: min(letter.milliseconds for letter in copies) for place, copies in letters.items()}
    for held in found.feedback_log:
        commit = passed.before(held)
        if commit is None:
            yield Difference("commit", f"never committed: {_at(held)}")
            continue
        for unit in truth.units_of.get(_place(held), ()):
            times = [at for at, _, _ in told[unit].outcomes] if unit in told else []
            times += parked.get(unit[0], [])
            if not times or min(times) > commit.milliseconds + _SLACK_MS:
                first = _clock(min(times)) if times else "never"
                text = f"passed by a commit of {commit.offset} at {_clock(commit.milliseconds)}, told {first}"
                yield Difference("commit", f"{text}: event {unit[0]} feedback {unit[1]} {_at(held)}")
    for held in (*truth.nonsense, *found.chat_nonsense):
        commit = passed.before(held)
        if commit is None or dead.get(_place(held), commit.milliseconds) > commit.milliseconds + _SLACK_MS:
            yield Difference("commit", f"committed before its dead letter: {_at(held)}")


class FirstPass:
    """By place, the first commit that passed each offset."""

    def __init__(self, commits: Iterable[Commit]) -> None:
        self._by: dict[tuple[str, int], list[Commit]] = defaultdict(list)
        for commit in sorted(commits, key=lambda commit: commit.milliseconds):
            known = self._by[commit.topic, commit.partition]
            if not known or commit.offset > known[-1].offset:
                known.append(commit)

    def before(self, held: Held) -> Commit | None:
        """Give the commit that passed a record: the first beyond it, as each is further than the last."""
        known = self._by.get((held.topic, held.partition), [])
        at = bisect_right(known, held.offset, key=lambda commit: commit.offset)
        return known[at] if at < len(known) else None


def _parked_commits(found: Evidence, told: Mapping[Unit, _Told]) -> Iterator[Difference]:
    """No commit passes a parked record before its event has another outcome, or is parked again."""
    passed = FirstPass(found.commits)
    parked = _parked_times(found.parked)
    receipts: dict[UUID, list[int]] = defaultdict(list)
    for (event_id, _), said in told.items():
        receipts[event_id] += [at for at, _, _ in said.outcomes]
    for held in found.parked:
        commit = passed.before(held)
        if commit is None:
            yield Difference("commit", f"parked and never committed: {_at(held)}")
            continue
        if _is_told(held):
            continue
        event_id = UUID(json.loads(held.value or b"")["event_id"])
        again = list(parked[event_id])
        again.remove(held.milliseconds)
        later = [at for at in (*again, *receipts[event_id]) if at >= held.milliseconds - _SLACK_MS]
        if not later or min(later) > commit.milliseconds + _SLACK_MS:
            text = f"passed by a commit of {commit.offset} at {_clock(commit.milliseconds)}"
            yield Difference("commit", f"{text} before it was told: event {event_id} {_at(held)}")


def _is_told(parked: Held) -> bool:
    """Tell whether a parked record has had its outcome, and is there only to look for a late write."""
    return _said(parked)["feedback-reason"] == "look_again"


def _parked_times(parked: Iterable[Held]) -> dict[UUID, list[int]]:
    times: dict[UUID, list[int]] = defaultdict(list)
    for held in parked:
        if _is_told(held):
            continue
        times[UUID(json.loads(held.value or b"")["event_id"])].append(held.milliseconds)
    return times


def _index(found: Evidence) -> Iterator[Difference]:
    """Each chat event is in the join index, with one of the traces that its events named."""
    nonsense = {_place(held) for held in found.chat_nonsense}
    traces: dict[str, set[str]] = defaultdict(set)
    for held in found.chat_log:
        if _place(held) not in nonsense:
            event = json.loads(held.value or b"")
            traces[event["client_request_id"]].add(event["trace_id"])
    for request_id, named in traces.items():
        if found.chats.get(request_id) not in named:
            there = found.chats.get(request_id)
            yield Difference("lost", f"the chat {request_id} is in the index with {there}, not with {named}")


def _redelivered(truth: Truth, found: Evidence, told: Mapping[Unit, _Told]) -> int:
    """Count what was told more often than its records and parked copies explain."""
    sent = Counter(unit for held in found.feedback_log for unit in truth.units_of.get(_place(held), ()))
    return sum(max(0, len(said.outcomes) - sent[unit]) for unit, said in told.items())


def _rewinds(commits: Iterable[Commit]) -> int:
    """Count commits that went back: a stale one that nobody refused."""
    last: dict[tuple[str, str, int], int] = {}
    found = 0
    for commit in sorted(commits, key=lambda commit: commit.milliseconds):
        place = commit.group, commit.topic, commit.partition
        found += commit.offset < last.get(place, 0)
        last[place] = commit.offset
    return found
