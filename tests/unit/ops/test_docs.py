"""The documents agree with the code."""

import re
from pathlib import Path
from typing import get_args

import pytest

from apps.chat.settings import ChatSettings
from apps.feedback_api.settings import ApiSettings
from apps.feedback_api.settings import variable_name as api_variable
from consumers.settings import Settings, variable_name
from contracts.headers import ENVELOPE_SIZE
from contracts.kafka import KafkaSettings
from pipeline.outcomes import DeadReason

ROOT = Path(__file__).parents[3]
DOCUMENTS = sorted([*ROOT.glob("*.md"), *(ROOT / "docs").rglob("*.md")])
OPERATIONS = (ROOT / "docs" / "operations.md").read_text(encoding="utf-8")
VARIABLES = [variable_name(name) for name in Settings.model_fields if name != "kafka"] + [
    variable_name(f"kafka.{name}") for name in KafkaSettings.model_fields
]
VARIABLES += [
    api_variable(model, name) for model in (ApiSettings, ChatSettings) for name in model.model_fields
]


@pytest.mark.parametrize("variable", VARIABLES)
def test_every_setting_is_in_operations(variable: str) -> None:
    assert f"`{variable}`" in OPERATIONS


def test_operations_names_no_setting_that_does_not_exist() -> None:
    named = set(re.findall(r"`(FEEDBACK_[A-Z_]+)`", OPERATIONS))
    assert named - set(VARIABLES) == {"FEEDBACK_LOCAL_DIR"}


def test_every_log_line_that_tells_of_a_fault_is_in_operations_and_no_other() -> None:
    sources = [
        path.read_text()
        for name in ("consumers", "pipeline", "ops", "apps")
        for path in (ROOT / name).rglob("*.py")
    ]
    told = {
        found for text in sources for found in re.findall(r'log\.(?:warning|critical)[(,]\s*"(\w+)"', text)
    }
    shown = set(re.findall(r"action=(\w+)", OPERATIONS))
    assert told - shown == set()
    known = {found for text in sources for found in re.findall(r'"(\w+)"', text)}
    assert shown - known == set()


@pytest.mark.parametrize("metric", sorted(set(re.findall(r"feedback_[a-z_]+", OPERATIONS))))
def test_every_metric_in_operations_exists(metric: str) -> None:
    files = ("consumers/prometheus.py", "apps/feedback_api/metrics.py")
    assert any(f'"{metric}"' in (ROOT / file).read_text() for file in files)


@pytest.mark.parametrize("reason", get_args(DeadReason))
def test_every_reason_is_in_operations(reason: str) -> None:
    assert f"`{reason}`" in OPERATIONS


def test_the_size_of_the_dead_letter_block_is_as_decided() -> None:
    text = (ROOT / "docs" / "decisions" / "0003-dead-letter-headers-as-a-block.md").read_text(
        encoding="utf-8"
    )
    assert ENVELOPE_SIZE == 10
    assert "the last ten" in text


@pytest.mark.parametrize("document", DOCUMENTS, ids=lambda path: str(path.relative_to(ROOT)))
def test_links_lead_somewhere(document: Path) -> None:
    links = re.findall(r"\]\(([^)#]+)[^)]*\)", document.read_text(encoding="utf-8"))
    local = [link for link in links if "://" not in link]
    assert [link for link in local if not (document.parent / link).exists()] == []


def test_the_architecture_shows_the_line_that_commits() -> None:
    shown = re.search(r"offsets are committed:\*\* `([^`]+)`", (ROOT / "docs/architecture.md").read_text())
    assert shown is not None
    sources = [path.read_text() for path in (ROOT / "consumers").glob("*.py")]
    assert sum(source.count(shown[1]) for source in sources) == 1
    assert sum(source.count("commit_batch(") for source in sources) == 2  # its definition and its one call
