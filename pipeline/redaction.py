"""Redaction: what people wrote loses what is nobody's business, before any store, table or receipt has it.

It is applied once, to the decoded event. Ids, names and times stay, so the feedback's identity and the order
of its versions do too.
"""

import json
import traceback
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import Any, Final, Literal

from contracts import limits
from contracts.events import AssessmentInput, FeedbackEvent, FeedbackSubmitted
from contracts.fields import looks_like_key
from contracts.values import check_text
from pipeline.patterns import REPLACEMENT, Pattern

Part = Literal["rationale", "metadata", "value"]
Hook = Callable[[str, str], str]
"""Somebody's own redaction: a text and its field (``rationale``, ``metadata.page``, ``value``) to a text."""

LIMITS: Final[Mapping[Part, int]] = {
    "rationale": limits.RATIONALE_BYTES,
    "metadata": limits.METADATA_BYTES,
    "value": limits.VALUE_BYTES,
}


class RedactionFailedError(Exception):
    """A text could not be redacted, so its record goes no further; the message never quotes it."""

    def __init__(self, field: str, why: str) -> None:
        place = ".".join(part if looks_like_key(part) else "(a key)" for part in field.split("."))
        super().__init__(f"{place}: {why}")


@dataclass(frozen=True, slots=True, kw_only=True)
class Redaction:
    """The hook first, then the patterns, so that these hold whatever the hook gives."""

    patterns: tuple[Pattern, ...] = ()
    hook: Hook | None = None
    parts: frozenset[Part] = frozenset({"rationale", "metadata"})

    @property
    def is_on(self) -> bool:
        """Tell whether there is anything to do."""
        return bool(self.patterns) or self.hook is not None

    def event(self, event: FeedbackEvent) -> FeedbackEvent:
        """Give the event redacted.

        Raises:
            RedactionFailedError: when the hook fails, or what it gives cannot be stored.

        """
        if not self.is_on or not isinstance(event, FeedbackSubmitted):
            return event
        changes = {
            "metadata": self._part(event.metadata, "metadata"),
            "assessments": tuple(self._assessment(said) for said in event.assessments),
        }
        return event.model_copy(update=changes)

    def _assessment(self, said: AssessmentInput) -> AssessmentInput:
        changes = {
            "rationale": self._part(said.rationale, "rationale"),
            "value": self._part(said.value, "value"),
        }
        return said.model_copy(update=changes)

    def _part(self, content: Any, part: Part) -> Any:  # noqa: ANN401 - a text, or what a value may be
        if content is None or part not in self.parts:
            return content
        room = max(LIMITS[part], _size(content))
        # What took the place of many short texts may be longer than they were.
        for change in (self.text, self._blunt):
            redacted = _changed(content, part, change)
            if _size(redacted) <= room:
                return redacted
        raise RedactionFailedError(part, f"has more than {LIMITS[part]} bytes after redaction")

    def text(self, text: str, field: str) -> str:
        """Give one text redacted.

        Raises:
            RedactionFailedError: as above.

        """
        redacted = text if self.hook is None else _hooked(self.hook, text, field)
        for pattern in self.patterns:
            redacted = pattern.redact(redacted)
        return redacted

    def _blunt(self, text: str, field: str) -> str:
        return text if self.text(text, field) == text else REPLACEMENT


NO_REDACTION: Final = Redaction()


def _hooked(hook: Hook, text: str, field: str) -> str:
    try:
        redacted = hook(text, field)
    except Exception as error:  # noqa: BLE001 - it is somebody else's code
        last = traceback.extract_tb(error.__traceback__)[-1]
        why = f"the redaction hook raised {type(error).__name__} at {last.filename}:{last.lineno}"
        raise RedactionFailedError(field, why) from None
    if not isinstance(redacted, str):
        raise RedactionFailedError(field, f"the redaction hook gave {type(redacted).__name__}, not str")
    try:
        check_text(redacted)
    except ValueError as error:
        raise RedactionFailedError(field, f"what the redaction hook gave {error}") from None
    if "\x00" in redacted:
        raise RedactionFailedError(field, "what the redaction hook gave holds a NUL character")
    return redacted


def _changed(content: Any, field: str, change: Callable[[str, str], str]) -> Any:  # noqa: ANN401 - as above
    """Change each text of a content; keys stay."""
    match content:
        case str():
            return change(content, field)
        case list():
            return [_changed(item, field, change) for item in content]
        case dict():
            return {key: _changed(item, f"{field}.{key}", change) for key, item in content.items()}
        case _:
            return content


def _size(content: object) -> int:
    return len(json.dumps(content, ensure_ascii=False, separators=(",", ":")).encode())
