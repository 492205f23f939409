"""Downloads: whole and checked, or not there at all."""

from __future__ import annotations

import http.server
import shutil
import threading
from collections.abc import Iterator
from pathlib import Path

import pytest

from local import jars
from local.errors import LocalStackError
from local.mlflow_environment import Environment
from local.ports import HOST, claim, is_free


def quiet(done: int, total: int) -> None:
    """Watch no download."""


@pytest.fixture
def fetched(cache: Path, tmp_path: Path) -> Path:
    """All jars, in a folder that a test may damage."""
    jars.ensure(cache / "jars", quiet)
    return Path(shutil.copytree(cache / "jars", tmp_path / "jars"))


@pytest.fixture
def fetched_before_a_portal(fetched: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[Path]:
    """Jars, and from then on a repository that answers all with the same words, as a captive portal does."""

    class Portal(http.server.BaseHTTPRequestHandler):
        def do_GET(self) -> None:
            self.send_response(200)
            self.end_headers()
            self.wfile.write(b"please log in")

        def log_message(self, *_: object) -> None:
            pass

    with http.server.ThreadingHTTPServer((HOST, 0), Portal) as server:
        threading.Thread(target=server.serve_forever, daemon=True).start()
        monkeypatch.setenv(jars.REPOSITORY_VARIABLE, f"http://{HOST}:{server.server_port}")
        yield fetched
        server.shutdown()


def smallest() -> jars.Jar:
    return min(jars.locked(), key=lambda jar: jar.size)


def test_a_damaged_jar_is_fetched_again(fetched: Path) -> None:
    good = (fetched / smallest().file).read_bytes()
    (fetched / smallest().file).write_bytes(good[:-1] + bytes([good[-1] ^ 1]))
    heard: list[tuple[int, int]] = []
    jars.ensure(fetched, lambda done, total: heard.append((done, total)))
    assert (fetched / smallest().file).read_bytes() == good
    assert heard == [(0, smallest().size), (smallest().size, smallest().size)]


def test_whole_jars_are_not_fetched(fetched: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv(jars.REPOSITORY_VARIABLE, f"http://{HOST}:1")
    assert len(jars.ensure(fetched, quiet)) == len(jars.locked())


def test_without_a_repository_the_error_names_the_jar_and_the_mend(
    fetched: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv(jars.REPOSITORY_VARIABLE, f"http://{HOST}:1")
    (fetched / smallest().file).unlink()
    with pytest.raises(LocalStackError) as told:
        jars.ensure(fetched, quiet)
    assert f"could not fetch {smallest().group}:{smallest().artifact}:{smallest().version}" in str(told.value)
    assert jars.REPOSITORY_VARIABLE in str(told.value)


def test_what_has_another_hash_is_never_kept(fetched_before_a_portal: Path) -> None:
    missing = fetched_before_a_portal / smallest().file
    missing.unlink()
    with pytest.raises(LocalStackError, match="another sha256"):
        jars.ensure(fetched_before_a_portal, quiet)
    assert not missing.exists()


def test_an_install_that_was_cut_short_is_done_anew(tmp_path: Path) -> None:
    environment = Environment(tmp_path, tmp_path / "install.log")
    environment.folder.mkdir()
    (environment.folder / "half-done").touch()
    assert not environment.ready
    environment.ensure(quiet)
    assert environment.ready
    assert not (environment.folder / "half-done").exists()


def test_without_an_index_the_error_names_the_log_and_the_mend(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("UV_OFFLINE", "1")
    monkeypatch.setenv("UV_CACHE_DIR", str(tmp_path / "nothing-cached"))
    environment = Environment(tmp_path, tmp_path / "install.log")
    with pytest.raises(LocalStackError) as told:
        environment.ensure(quiet)
    assert "mlflow-requirements.txt could not be installed" in str(told.value)
    assert str(tmp_path / "install.log") in str(told.value)
    assert not environment.ready


def test_a_taken_port_is_not_given_again(tmp_path: Path) -> None:
    file = tmp_path / "ports.json"
    first = claim(file, ["a", "b"])
    assert claim(file, ["a"]) == first
    with http.server.HTTPServer((HOST, first["a"]), http.server.BaseHTTPRequestHandler):
        assert not is_free(first["a"])
        second = claim(file, ["a", "b"])
    assert second["a"] != first["a"]
    assert second["b"] == first["b"]
