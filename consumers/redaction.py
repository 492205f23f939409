"""Redaction from the settings: patterns, and a hook that is imported by its name."""

import importlib
import inspect
from typing import Final

from consumers.settings import Settings, SettingsError
from pipeline.patterns import parse_patterns
from pipeline.redaction import Hook, Redaction

HOOK: Final = "FEEDBACK_REDACT_HOOK"


def make_redaction(settings: Settings) -> Redaction:
    """Build the redaction.

    Raises:
        SettingsError: when the hook cannot be imported, or is no function of a text and a field.

    """
    hook = _load(settings.redact_hook) if settings.redact_hook else None
    patterns = parse_patterns(settings.redact_patterns)
    if settings.dead_letter_redact and not (hook or patterns):
        msg = f"FEEDBACK_DEAD_LETTER_REDACT: needs FEEDBACK_REDACT_PATTERNS or {HOOK}, to know what to redact"
        raise SettingsError(msg)
    return Redaction(patterns=patterns, hook=hook, parts=frozenset(settings.redact_fields))


def _load(name: str) -> Hook:
    module_name, _, attribute = name.partition(":")
    try:
        hook = getattr(importlib.import_module(module_name), attribute)
    except Exception as error:  # importing runs whatever stands there
        said = f"{type(error).__name__}: {error}"
        msg = f"{HOOK}: cannot import {name}: {said}; PYTHONPATH may have to name its folder"
        raise SettingsError(msg) from error
    if not callable(hook) or inspect.iscoroutinefunction(hook) or not _takes_two(hook):
        msg = f"{HOOK}: {name} must be a plain function of a text and a field that gives a text"
        raise SettingsError(msg)
    loaded: Hook = hook
    return loaded


def _takes_two(hook: object) -> bool:
    try:
        inspect.signature(hook).bind("text", "field")  # type: ignore[arg-type]  # it can be called
    except TypeError:
        return False
    except ValueError:  # one written in C may not tell
        return True
    return True
