"""Which changes of an event's JSON Schema would break somebody who has followed the released one.

It knows the keywords that our schemas use. Of any other keyword that is new or changed it says that it
breaks, so that whoever adds one has to look here. (jsoncompat, the library for this, answers yes or no
without saying where, and does not see a changed default.)
"""

import json
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass
from typing import Any, Final, Literal

Schema = Mapping[str, Any]
Flow = Literal["received", "sent"]

SENT: Final = frozenset({"FeedbackLogged"})
"""Events that the pipeline writes and others read; all others it reads."""

_ANNOTATIONS: Final = frozenset({"$schema", "$id", "$defs", "$comment", "title", "description", "examples"})
_LOWER_LIMITS: Final = frozenset({"minLength", "minItems", "minProperties", "minimum", "exclusiveMinimum"})
_UPPER_LIMITS: Final = frozenset({"maxLength", "maxItems", "maxProperties", "maximum", "exclusiveMaximum"})
_TYPES: Final = frozenset({"null", "boolean", "integer", "number", "string", "array", "object"})


def breaking_release(old: Mapping[str, Schema], new: Mapping[str, Schema]) -> list[str]:
    """Give what breaks between two sets of events; a new event breaks nothing."""
    gone = [f"{name}: the event is gone" for name in old if name not in new]
    flows: dict[str, Flow] = {name: "sent" if name in SENT else "received" for name in old}
    return gone + [
        f"{name}: {change}"
        for name in old
        if name in new
        for change in breaking_changes(old[name], new[name], flow=flows[name])
    ]


def breaking_changes(old: Schema, new: Schema, *, flow: Flow = "received") -> list[str]:
    """Give what breaks between two versions of one event, each as ``field: what``.

    Of a received event, all that the old schema allows must stay allowed, with the same meaning. Of a sent
    one, all that the new schema allows must have been allowed before, and no field may go.
    """
    if flow == "received":
        return list(_Comparison(old, new, flow).schema((), old, new))
    return list(_Comparison(new, old, flow).schema((), new, old))


@dataclass(frozen=True, slots=True)
class _Comparison:
    """Finds where `wide`, which must allow all that `narrow` allows, does not."""

    narrow_root: Schema
    wide_root: Schema
    flow: Flow

    def schema(self, path: tuple[str, ...], narrow: Any, wide: Any) -> Iterator[str]:  # noqa: ANN401 - JSON
        narrow, wide = _resolve(narrow, self.narrow_root), _resolve(wide, self.wide_root)
        if narrow == wide and not _refers(narrow):
            return
        if "anyOf" in narrow or "anyOf" in wide:
            yield from self._alternatives(path, narrow, wide)
            narrow, wide = _without(narrow, "anyOf"), _without(wide, "anyOf")
        for keyword in ["type"] if _apart(narrow, wide) else sorted({*narrow, *wide} - _ANNOTATIONS):
            yield from self._keyword(path, keyword, narrow, wide)

    def _keyword(self, path: tuple[str, ...], keyword: str, narrow: Schema, wide: Schema) -> Iterator[str]:
        match keyword:
            case "type" | "enum":
                yield from self._kept(path, keyword, _allowed(narrow, keyword), _allowed(wide, keyword))
            case "required":
                for name in sorted({*wide.get(keyword, ())} - {*narrow.get(keyword, ())}):
                    yield _say((*path, name), self._now("is required now", "is not always there any more"))
            case "properties":
                yield from self._properties(path, narrow.get(keyword, {}), wide.get(keyword, {}))
            case "items":
                yield from self.schema((*path, "[]"), narrow.get(keyword, {}), wide.get(keyword, {}))
            case "additionalProperties" | "propertyNames":
                yield from self._open(path, keyword, narrow, wide)
            case "default":
                yield from self._default(path, narrow, wide)
            case _ if keyword in _LOWER_LIMITS | _UPPER_LIMITS:
                if _tighter(keyword, narrow.get(keyword), wide.get(keyword)):
                    yield _say(path, f"{keyword} is {self._now('tightened', 'loosened')}")
            case _:
                if keyword in wide and narrow.get(keyword) != wide[keyword]:
                    yield _say(path, f"{keyword} is another")

    def _default(self, path: tuple[str, ...], narrow: Schema, wide: Schema) -> Iterator[str]:
        """Who leaves a field out means its default: another one is another meaning."""
        old, new = (narrow, wide) if self.flow == "received" else (wide, narrow)
        if "default" in old and ("default" not in new or old["default"] != new["default"]):
            yield _say(path, "its default is another")

    def _kept(
        self, path: tuple[str, ...], keyword: str, narrow: frozenset[str] | None, wide: frozenset[str] | None
    ) -> Iterator[str]:
        if wide is None:
            return
        lost = wide if narrow is None else narrow - wide
        if narrow is None:
            yield _say(path, f"{keyword} is {self._now('restricted', 'unrestricted')}")
        elif lost:
            yield _say(path, f"{keyword} {', '.join(sorted(lost))} is {self._now('gone', 'new')}")

    def _properties(self, path: tuple[str, ...], narrow: Schema, wide: Schema) -> Iterator[str]:
        old, new = (narrow, wide) if self.flow == "received" else (wide, narrow)
        for name in old:
            if name not in new:
                yield _say((*path, name), "the field is gone")
            else:
                yield from self.schema((*path, name), narrow[name], wide[name])

    def _open(self, path: tuple[str, ...], keyword: str, narrow: Schema, wide: Schema) -> Iterator[str]:
        before, after = narrow.get(keyword, True), wide.get(keyword, True)
        if after is False and before is not False:
            yield _say(path, f"{keyword} is {self._now('closed', 'opened')}")
        elif isinstance(after, dict) and before is not False:
            yield from self.schema((*path, "*"), {} if before is True else before, after)

    def _alternatives(self, path: tuple[str, ...], narrow: Schema, wide: Schema) -> Iterator[str]:
        """Each alternative that was allowed must be allowed by one that is; where none does, say why."""
        if "anyOf" not in wide:
            return
        for alternative in narrow.get("anyOf", [_without(narrow, *_ANNOTATIONS, "default")]):
            found = [list(self.schema(path, alternative, other)) for other in wide["anyOf"]]
            if all(found):
                yield from min(found, key=_nearness)

    def _now(self, received: str, sent: str) -> str:
        return received if self.flow == "received" else sent


def _resolve(schema: Any, root: Schema) -> Schema:  # noqa: ANN401 - JSON
    if not isinstance(schema, dict):
        return {} if schema is True else {"not": {}}
    if "const" in schema:
        return {**_without(schema, "const"), "enum": [schema["const"]]}
    if "$ref" not in schema:
        return schema
    target: Any = root
    for part in schema["$ref"].removeprefix("#/").split("/"):
        target = target[part]
    return {**_resolve(target, root), **_without(schema, "$ref")}


def _refers(schema: Schema) -> bool:
    return '"$ref"' in json.dumps(schema)


def _without(schema: Schema, *keywords: str) -> Schema:
    return {keyword: part for keyword, part in schema.items() if keyword not in keywords}


def _allowed(schema: Schema, keyword: str) -> frozenset[str] | None:
    """Give what `type` or `enum` allows, or None where it allows everything."""
    if keyword not in schema:
        return None
    if keyword == "enum":
        return frozenset(json.dumps(member) for member in schema["enum"])
    types = schema["type"] if isinstance(schema["type"], list) else [schema["type"]]
    return frozenset([*types, "integer"] if "number" in types else types) & _TYPES


def _apart(narrow: Schema, wide: Schema) -> bool:
    """Tell whether no value has a type that both allow, so that nothing else needs saying."""
    before, after = _allowed(narrow, "type"), _allowed(wide, "type")
    return before is not None and after is not None and before.isdisjoint(after)


def _tighter(keyword: str, narrow: float | None, wide: float | None) -> bool:
    if wide is None:
        return False
    beyond: Callable[[float], bool] = (
        (lambda n: n < wide) if keyword in _LOWER_LIMITS else (lambda n: n > wide)
    )
    return narrow is None or beyond(narrow)


def _nearness(changes: list[str]) -> tuple[bool, int]:
    return any(": type " in change for change in changes), len(changes)


def _say(path: tuple[str, ...], what: str) -> str:
    return f"{'.'.join(path) or 'the event'}: {what}"
