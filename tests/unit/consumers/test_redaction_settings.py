"""Patterns and hook from the environment: what is wrong is said at the start, with the variable's name."""

import os
from pathlib import Path

import pytest

from consumers.redaction import make_redaction
from consumers.settings import SettingsError, load_settings

HOOKS = """
def redact(text, field):
    return f"{field}: {len(text)}"

def takes_one(text):
    return text

async def later(text, field):
    return text

NUMBER = 7
"""


@pytest.fixture(autouse=True)
def hooks(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    (tmp_path / "our_hooks.py").write_text(HOOKS)
    (tmp_path / "broken_hooks.py").write_text("1 / 0")
    monkeypatch.syspath_prepend(tmp_path)
    for name in [name for name in os.environ if name.startswith(("FEEDBACK_", "MLFLOW_"))]:
        monkeypatch.delenv(name)


def test_by_default_nothing_is_redacted() -> None:
    assert not make_redaction(load_settings()).is_on


def test_patterns_and_hook_are_taken() -> None:
    settings = load_settings(redact_patterns='["email", "x+"]', redact_hook="our_hooks:redact")
    redaction = make_redaction(settings)
    assert redaction.text("abc", "rationale") == "rationale: 3"
    assert len(redaction.patterns) == 2
    assert redaction.parts == {"rationale", "metadata"}


@pytest.mark.parametrize(
    ("hook", "said"),
    [
        ("no_such_module:redact", "cannot import no_such_module:redact: ModuleNotFoundError"),
        ("our_hooks:missing", "AttributeError"),
        ("broken_hooks:redact", "cannot import broken_hooks:redact: ZeroDivisionError"),
        ("our_hooks:NUMBER", "our_hooks:NUMBER must be a plain function"),
        ("our_hooks:takes_one", "our_hooks:takes_one must be a plain function"),
        ("our_hooks:later", "our_hooks:later must be a plain function"),
    ],
)
def test_a_hook_that_does_not_do_is_named(hook: str, said: str) -> None:
    with pytest.raises(SettingsError) as caught:
        make_redaction(load_settings(redact_hook=hook))
    assert str(caught.value).startswith("FEEDBACK_REDACT_HOOK: ")
    assert said in str(caught.value)


def test_dead_letters_cannot_be_redacted_by_nothing() -> None:
    with pytest.raises(SettingsError, match="FEEDBACK_DEAD_LETTER_REDACT: needs FEEDBACK_REDACT_PATTERNS"):
        make_redaction(load_settings(dead_letter_redact=True))
