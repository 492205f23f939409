"""How many workers, and their ports: what is wrong is said before anything starts."""

import pytest
from typer.testing import CliRunner

from consumers.settings import Settings
from ops.cli import app
from ops.errors import WorkersError
from ops.workers import ports_of


@pytest.fixture
def run() -> CliRunner:
    return CliRunner(env={"COLUMNS": "200", "NO_COLOR": "1", "TERM": "dumb"})


@pytest.mark.parametrize(
    ("first", "count", "ports"),
    [(8080, 1, [8080]), (8080, 3, [8080, 8081, 8082]), (65_534, 2, [65_534, 65_535]), (0, 3, [0, 0, 0])],
)
def test_each_worker_has_a_port_of_its_own(first: int, count: int, ports: list[int]) -> None:
    assert ports_of(Settings(http_port=first), count) == ports


def test_too_few_ports_are_named() -> None:
    with pytest.raises(WorkersError, match=r"FEEDBACK_HTTP_PORT: 3 workers need the ports 65534 to 65536"):
        ports_of(Settings(http_port=65_534), 3)


@pytest.mark.parametrize(
    ("count", "needle"),
    [
        ("0", "equal to 1"),
        ("-1", "equal to 1"),
        ("65", "equal to 64"),
        ("two", "integer"),
        ("1.5", "integer"),
    ],
)
def test_a_bad_number_of_workers_is_refused(run: CliRunner, count: str, needle: str) -> None:
    result = run.invoke(app, ["run", "all", "--workers", count])
    assert result.exit_code == 2
    assert "--workers" in result.output
    assert needle in result.output


def test_what_is_wrong_with_the_settings_is_said_once_by_the_parent(run: CliRunner) -> None:
    command = ["run", "all", "--workers", "2"]
    result = run.invoke(app, command, env={"FEEDBACK_HTTP_PORT": "65535"})
    assert result.exit_code == 1
    assert result.output.count("error: FEEDBACK_HTTP_PORT: 2 workers") == 1
    result = run.invoke(app, command, env={"FEEDBACK_BATCH_MAX_RECORDS": "many"})
    assert result.exit_code == 1
    assert result.output.count("FEEDBACK_BATCH_MAX_RECORDS") == 1
