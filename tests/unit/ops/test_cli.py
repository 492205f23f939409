"""The command line: help that a newcomer understands, errors that name the thing and the mend."""

import pytest
from typer.testing import CliRunner

from ops.cli import app

COMMANDS = [
    [],
    ["demo"],
    ["run"],
    ["status"],
    ["topics"],
    ["topics", "create"],
    ["topics", "describe"],
    ["local"],
    ["local", "up"],
    ["local", "down"],
    ["local", "status"],
    ["contracts"],
    ["contracts", "check"],
]


@pytest.fixture
def run() -> CliRunner:
    return CliRunner(env={"COLUMNS": "200", "NO_COLOR": "1", "TERM": "dumb"})


@pytest.mark.parametrize("command", COMMANDS, ids=" ".join)
def test_every_command_has_help(run: CliRunner, command: list[str]) -> None:
    result = run.invoke(app, [*command, "--help"])
    assert result.exit_code == 0
    assert "Usage: " in result.output


@pytest.mark.parametrize(
    ("variable", "value", "needle"),
    [
        ("FEEDBACK_BATCH_MAX_RECORDS", "many", "integer"),
        ("FEEDBACK_HTTP_PORT", "70000", "65535"),
        ("FEEDBACK_DATABASE_SCHEMA", "a; DROP TABLE x", "pattern"),
        ("MLFLOW_TRACKING_URI", "sqlite:///x.db", "pattern"),
        ("FEEDBACK_KAFKA_SECURITY_PROTOCOL", "TLS", "SASL_SSL"),
        ("FEEDBACK_LOG_LEVEL", "LOUD", "WARNING"),
    ],
)
def test_a_wrong_setting_is_named(run: CliRunner, variable: str, value: str, needle: str) -> None:
    result = run.invoke(app, ["run", "all"], env={variable: value})
    assert result.exit_code == 1
    assert variable in result.output
    assert needle in result.output
    assert "Traceback" not in result.output


def test_missing_credentials_are_named(run: CliRunner) -> None:
    result = run.invoke(app, ["topics", "create"], env={"FEEDBACK_KAFKA_SECURITY_PROTOCOL": "SASL_SSL"})
    assert result.exit_code == 1
    assert "FEEDBACK_KAFKA_SASL_USERNAME and FEEDBACK_KAFKA_SASL_PASSWORD must be set" in result.output


def test_an_event_id_that_is_none_is_refused(run: CliRunner) -> None:
    result = run.invoke(app, ["status", "abc"])
    assert result.exit_code == 1
    assert "'abc' is not a UUID" in result.output


def test_a_broker_that_is_not_there_is_named(run: CliRunner) -> None:
    result = run.invoke(app, ["topics", "describe"], env={"FEEDBACK_KAFKA_BOOTSTRAP_SERVERS": "127.0.0.1:1"})
    assert result.exit_code == 1
    assert "FEEDBACK_KAFKA_BOOTSTRAP_SERVERS" in result.output
    assert "127.0.0.1:1" in result.output


def test_a_database_that_is_not_there_is_named(run: CliRunner) -> None:
    result = run.invoke(
        app,
        ["status", "6f7a1f0e-5f0b-5f6c-9b64-0f3f4c1e7a52"],
        env={"FEEDBACK_DATABASE_URL": "postgresql://feedback@127.0.0.1:1/feedback"},
    )
    assert result.exit_code == 1
    assert "FEEDBACK_DATABASE_URL" in result.output
