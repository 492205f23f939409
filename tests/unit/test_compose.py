"""compose.yaml: by the specification, in agreement with `Settings`, and by our rules, each shown to bite."""

import copy
import os
import re
import subprocess
import sys
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest
import yaml
from support import compose_rules as rules
from support.compose import ROOT, Compose, read_compose

from consumers.settings import Settings, SettingsError, load_settings

Change = Callable[[Compose], object]
_PASSWORDS = {f"POSTGRES_{name}PASSWORD": "x" for name in ("", "FEEDBACK_", "MLFLOW_")} | {
    "FEEDBACK_API_TOKEN_KEYS": f"one:{'x' * 32}"
}


@pytest.fixture
def compose() -> Compose:
    return read_compose()


def follows_specification(path: Path) -> bool:
    command = [sys.executable, "-m", "check_jsonschema", "--builtin-schema", "vendor.compose-spec", str(path)]
    return subprocess.run(command, check=False, capture_output=True).returncode == 0


def test_it_follows_the_specification() -> None:
    assert follows_specification(ROOT / "compose.yaml")


@pytest.mark.parametrize(
    "break_it",
    [
        lambda document: document["services"]["chats"].update(comand=["feedback"]),
        lambda document: document["services"]["kafka"].update(restart=1),
        lambda document: document["services"]["topics"]["depends_on"]["kafka"].update(condition="well"),
        lambda document: document.update(volume={}),
    ],
)
def test_what_breaks_the_specification_is_found(break_it: Callable[[Any], object], tmp_path: Path) -> None:
    document = copy.deepcopy(read_compose().document)
    break_it(document)
    path = tmp_path / "compose.yaml"
    path.write_text(yaml.safe_dump(document))
    assert not follows_specification(path)


@pytest.mark.parametrize("rule", rules.RULES, ids=lambda rule: rule.__name__)
def test_it_keeps_the_rule(rule: Callable[[Compose], Iterator[str]], compose: Compose) -> None:
    assert list(rule(compose)) == []


def _service(name: str, **changes: object) -> Change:
    return lambda compose: compose.services[name].update(changes)


def _without(name: str, key: str) -> Change:
    return lambda compose: compose.services[name].pop(key)


def _environment(name: str, **changes: object) -> Change:
    return lambda compose: compose.services[name]["environment"].update(changes)


BREAKS: list[tuple[Callable[[Compose], Iterator[str]], Change, str]] = [
    (rules.images_are_pinned, _service("kafka", image="apache/kafka:latest"), "apache/kafka:latest"),
    (rules.images_are_pinned, _service("postgres", image="postgres"), "'postgres' is not pinned"),
    (rules.nothing_runs_as_root, _service("chats", user="0:0"), "chats: runs as '0:0'"),
    (rules.nothing_runs_as_root, _service("kafka", image="nginx:1.29"), "who does nginx"),
    (rules.privileges_are_dropped, _without("mlflow", "cap_drop"), "mlflow: keeps"),
    (rules.privileges_are_dropped, _service("chat", security_opt=[]), "chat: may gain"),
    (rules.privileges_are_dropped, _service("kafka", privileged=True), "kafka: is privileged"),
    (rules.health_is_checked, _without("mlflow", "healthcheck"), "mlflow: no health check"),
    (
        rules.health_is_checked,
        _service("topics", depends_on={"kafka": {"condition": "service_started"}}),
        "topics: waits for kafka by service_started",
    ),
    (
        rules.health_is_checked,
        _service("topics", depends_on={"kafak": {"condition": "service_healthy"}}),
        "depends on kafak",
    ),
    (
        rules.volumes_are_declared,
        _service("kafka", volumes=["kafka:/var/lib/kafka/data"]),
        "kafka is used and not",
    ),
    (rules.volumes_are_declared, _without("mlflow", "volumes"), "mlflow-artifacts is declared and not used"),
    (rules.volumes_are_declared, _service("chat", volumes=["./nowhere:/x"]), "./nowhere does not exist"),
    (rules.ports_stay_on_this_machine, _service("mlflow", ports=["5000:5000"]), "mlflow: 5000:5000 is open"),
    (rules.consumers_scale, _service("feedback", container_name="feedback"), "feedback: has container_name"),
    (rules.consumers_scale, _service("chats", ports=["127.0.0.1:8080:8080"]), "chats: has ports"),
    (rules.consumers_scale, _service("chats", stop_grace_period="30s"), "chats: is killed before 30 s"),
    (rules.variables_exist, _environment("chats", FEEDBACK_KAFKA_BOOTSTRAP="x"), "FEEDBACK_KAFKA_BOOTSTRAP"),
    (rules.variables_exist, _environment("mlflow", MLFLOW_TELEMETRY="x"), "MLFLOW_TELEMETRY"),
    (rules.variables_exist, _environment("kafka", KAFKA_NODE_ID=1), "KAFKA_NODE_ID is no text"),
    (
        rules.addresses_lead_somewhere,
        _environment("feedback", MLFLOW_TRACKING_URI="http://ml-flow:5000"),
        "feedback: MLFLOW_TRACKING_URI leads to ml-flow",
    ),
    (rules.commands_exist, _service("chats", command=["feedback", "run", "chat"]), "'chat' is not one of"),
    (rules.commands_exist, _service("topics", command=["feedback", "topic", "create"]), "No such command"),
    (rules.commands_exist, _service("chat", command=["python", "-m", "apps.chats"]), "what is python -m"),
    (
        rules.images_can_be_built,
        lambda compose: compose.services["mlflow"]["build"].update(dockerfile="deploy/mlflow.Dockerfile"),
        "mlflow.Dockerfile does not exist",
    ),
]


@pytest.mark.parametrize(("rule", "break_it", "complaint"), BREAKS)
def test_the_rule_bites(
    rule: Callable[[Compose], Iterator[str]], break_it: Change, complaint: str, compose: Compose
) -> None:
    broken = Compose(copy.deepcopy(compose.document))
    break_it(broken)
    assert complaint in "; ".join(rule(broken))


@pytest.fixture
def small(tmp_path: Path) -> Compose:
    """A project of one service, right in all that is asked of Dockerfiles."""
    (tmp_path / "Dockerfile").write_text(
        "FROM python:3.13-slim AS build\nFROM python:3.13-slim\nCOPY --from=build /x /x\n"
        "COPY app/main.py pyproject.toml /app/\nUSER 10001\n"
    )
    (tmp_path / ".dockerignore").write_text("*\n!app\n!pyproject.toml\n")
    (tmp_path / "app").mkdir()
    for name in ("app/main.py", "pyproject.toml", ".env"):
        (tmp_path / name).touch()
    service = {"image": "small:1", "build": {"context": ".", "dockerfile": "Dockerfile"}}
    return Compose({"services": {"small": service}}, tmp_path)


DOCKERFILE_BREAKS = [
    (
        rules.images_are_pinned,
        "Dockerfile",
        "AS build\nFROM python:3.13-slim",
        "AS build\nFROM python",
        "'python'",
    ),
    (
        rules.images_are_pinned,
        "Dockerfile",
        "FROM python:3.13-slim AS",
        "FROM python:latest AS",
        "python:latest",
    ),
    (rules.nothing_runs_as_root, "Dockerfile", "USER 10001\n", "", "runs as 'root'"),
    (
        rules.nothing_runs_as_root,
        "Dockerfile",
        "USER 10001",
        "USER 10001\nFROM python:3.13-slim",
        "runs as 'root'",
    ),
    (rules.images_can_be_built, "Dockerfile", "app/main.py", "app/mian.py", "copies app/mian.py"),
    (rules.images_can_be_built, ".dockerignore", "!pyproject.toml\n", "", "copies pyproject.toml"),
    (rules.images_can_be_built, ".dockerignore", "*\n", "", "has .env"),
]


@pytest.mark.parametrize(("rule", "name", "old", "new", "complaint"), DOCKERFILE_BREAKS)
def test_the_rule_bites_in_a_dockerfile(  # noqa: PLR0913, PLR0917 - a row of the table
    rule: Callable[[Compose], Iterator[str]], name: str, old: str, new: str, complaint: str, small: Compose
) -> None:
    assert list(rule(small)) == []
    path = small.root / name
    path.write_text(path.read_text().replace(old, new))
    assert complaint in "; ".join(rule(small))


def settings_of(compose: Compose, name: str, monkeypatch: pytest.MonkeyPatch) -> Settings:
    for variable in [*os.environ]:
        if variable.startswith(("FEEDBACK_", "MLFLOW_")):
            monkeypatch.delenv(variable)
    for variable, value in compose.services[name]["environment"].items():
        monkeypatch.setenv(variable, value)
    return load_settings()


@pytest.mark.parametrize("name", ["topics", "chats", "feedback", "retries", "chat"])
def test_the_settings_of_each_service_of_ours_parse(
    name: str, compose: Compose, monkeypatch: pytest.MonkeyPatch
) -> None:
    assert name in compose.ours
    settings = settings_of(compose, name, monkeypatch)
    assert settings.kafka.bootstrap_servers == "kafka:9092"
    assert settings.mlflow_tracking_uri == "http://mlflow:5000"
    assert settings.mlflow_experiments == ("0",)


def test_all_services_of_ours_are_looked_at(compose: Compose) -> None:
    assert set(compose.ours) == {"topics", "chats", "feedback", "retries", "chat"}


@pytest.mark.parametrize("name", ["chats", "feedback", "retries"])
def test_a_consumer_gets_what_its_health_check_and_its_database_need(
    name: str, compose: Compose, monkeypatch: pytest.MonkeyPatch
) -> None:
    settings = settings_of(compose, name, monkeypatch)
    assert (settings.http_host, settings.http_port) == ("0.0.0.0", 8080)  # noqa: S104 - in a network of its own
    assert "'127.0.0.1', 8080" in compose.services[name]["healthcheck"]["test"][-1]
    assert settings.database_url.get_secret_value() == "postgresql://feedback@postgres:5432/feedback"
    environment = compose.services["postgres"]["environment"]
    assert os.environ["PGPASSWORD"] == environment["POSTGRES_FEEDBACK_PASSWORD"]


def test_a_value_that_does_not_parse_is_found(compose: Compose, monkeypatch: pytest.MonkeyPatch) -> None:
    compose.services["chats"]["environment"]["FEEDBACK_HTTP_PORT"] = "http"
    with pytest.raises(SettingsError, match="FEEDBACK_HTTP_PORT"):
        settings_of(compose, "chats", monkeypatch)


@pytest.mark.parametrize("name", _PASSWORDS)
def test_no_password_has_a_default(name: str) -> None:
    read_compose(_PASSWORDS)
    with pytest.raises(KeyError, match=r"cp \.env\.example \.env"):
        read_compose({key: value for key, value in _PASSWORDS.items() if key != name})


def test_the_example_names_only_variables_that_are_read() -> None:
    read = set(re.findall(r"\$\{(\w+)", (ROOT / "compose.yaml").read_text()))
    named = set(re.findall(r"^(?:# )?([A-Z_]+)=", (ROOT / ".env.example").read_text(), re.MULTILINE))
    assert named == read
