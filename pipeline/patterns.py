"""What redaction looks for: personal data by its usual name, and patterns of one's own, in linear time.

The engine is RE2: whatever pattern an operator sets and whatever a person writes, no search backtracks
(docs/decisions/0008). It knows neither look-around nor backreferences, and its digits and words are ASCII.
"""

import ipaddress
import json
import re
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import Any, Final

import re2

REPLACEMENT: Final = "[redacted]"


def _always(_text: str) -> bool:
    return True


def _is_address(text: str) -> bool:
    """Tell an IPv6 address from a time of day, which has colons as well."""
    try:
        ipaddress.IPv6Address(text)
    except ValueError:
        return False
    return True


@dataclass(frozen=True, slots=True)
class Pattern:
    """A compiled pattern, what stands in place of a match, and a second look at what matched."""

    regexp: Any
    replacement: str = REPLACEMENT
    is_meant: Callable[[str], bool] = _always

    def redact(self, text: str) -> str:
        """Give the text without what matches."""
        redacted: str = self.regexp.sub(self._instead, text)
        return redacted

    def _instead(self, match: Any) -> str:  # noqa: ANN401 - RE2's own
        found: str = match[0]
        return self.replacement if found and self.is_meant(found) else found


_BYTE = r"(?:25[0-5]|2[0-4]\d|1?\d?\d)"
_HEX = r"[0-9A-Fa-f]{1,4}"
_KINDS: Final[Mapping[str, tuple[tuple[str, Callable[[str], bool]], ...]]] = {
    "email": ((r"""[^\s@<>()\[\],;:"]+@[\pL\pN-]+(?:\.[\pL\pN-]+)+""", _always),),
    "phone": (
        (r"(?:\+|\b00)[1-9](?:[\s./()-]{0,3}\d){6,14}", _always),
        (r"\(?\b0\d{2,5}\)?[\s./-]{1,3}\d(?:[\s./-]?\d){4,10}\b", _always),
        (r"\b0\d{8,14}\b", _always),
        (r"\(?\b\d{3}\)?[\s.-]\d{3}[\s.-]\d{4}\b", _always),
    ),
    # 13 digits or more; no checksum, as a card with a digit too many or mistyped is to go as well.
    "card": ((r"\b\d(?:[ -]?\d){12,}\b", _always),),
    "ip": (
        (rf"\b(?:{_BYTE}\.){{3}}{_BYTE}\b", _always),
        (rf"(?:\b{_HEX}|:)(?::(?:{_HEX})?){{2,7}}", _is_address),
        (rf"::{_HEX}\b", _is_address),
    ),
}
KINDS: Final = tuple(_KINDS)
"""The names that may stand in place of a pattern."""

_A_WORD: Final = re.compile(r"[a-z_-]+")


def parse_patterns(text: str) -> tuple[Pattern, ...]:
    """Compile a JSON list of names in `KINDS` and of regular expressions in RE2's syntax.

    Raises:
        ValueError: saying which item is wrong, and how to mend it.

    """
    try:
        items = json.loads(text or "[]")
    except (ValueError, RecursionError):
        items = None
    if not isinstance(items, list) or not all(isinstance(item, str) for item in items):
        msg = f'must be a JSON list of names ({_names()}) and patterns, such as ["email", "KD-[0-9]+"]'
        raise ValueError(msg)
    return tuple(pattern for number, item in enumerate(items) for pattern in _compiled(item, number))


def _compiled(item: str, number: int) -> list[Pattern]:
    if item in _KINDS:
        return [Pattern(_regexp(text), f"[redacted:{item}]", is_meant) for text, is_meant in _KINDS[item]]
    if _A_WORD.fullmatch(item):
        msg = f"item {number} ({item}) is none of the names {_names()}, and as a pattern it is (?:{item})"
        raise ValueError(msg)
    try:
        regexp = _regexp(item)
    except re2.error as error:
        msg = f"item {number} is no regular expression of RE2: {_said(error)}"
        raise ValueError(msg) from None
    if regexp.search("") is not None:
        msg = f"item {number} matches where there is nothing; let it need at least one character"
        raise ValueError(msg)
    return [Pattern(regexp)]


def _regexp(text: str) -> Any:  # noqa: ANN401 - RE2's own
    options = re2.Options()
    options.log_errors = False  # it would write to standard error, past our logs
    return re2.compile(text, options=options)


def _said(error: Exception) -> str:
    said = error.args[0] if error.args else ""
    return said.decode(errors="replace") if isinstance(said, bytes) else str(said)


def _names() -> str:
    return ", ".join(KINDS)
