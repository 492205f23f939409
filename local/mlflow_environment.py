"""MLflow's own virtual environment: the full `mlflow` and its database driver, apart from our packages."""

from __future__ import annotations

import hashlib
import re
import shutil
import subprocess
import sys
from collections.abc import Callable, Iterable
from dataclasses import dataclass
from pathlib import Path

import uv
from filelock import FileLock

from local.errors import failure
from local.files import rotate, write_whole
from local.processes import Launch, child_environment

REQUIREMENTS = Path(__file__).with_name("mlflow-requirements.txt")
PLUGIN = Path(__file__).parents[1] / "mlflow_batch"
_SETTINGS = {"UV_SYSTEM_CERTS": "1", "UV_PYTHON_DOWNLOADS": "never"}
# `PYTHON…`: also without PYTHONDONTWRITEBYTECODE, which makes MLflow start in 17 s instead of 7.
FOREIGN = ("PYTHON", "VIRTUAL_ENV", "MLFLOW_", "_MLFLOW_")
_MEND = (
    "give this machine a way to a Python package index (a proxy by HTTPS_PROXY, a mirror by "
    "UV_DEFAULT_INDEX) and run `up` again"
)
_UNITS = {"B": 1, "KiB": 1024, "MiB": 1024**2, "GiB": 1024**3}
# uv names the larger packages when their download begins ("Downloading numpy (16.0MiB)") and when it ends
# (" Downloaded numpy").
_NEWS = re.compile(r"^\s*(Downloading|Downloaded) (\S+)(?: \(([\d.]+)([KMG]?i?B)\))?")


@dataclass(frozen=True, slots=True)
class Environment:
    """A virtual environment in the cache, named by what is in it, so that a new lock gets a new one."""

    cache: Path
    log: Path

    @property
    def key(self) -> str:
        """Give a digest of the lock, of our plugin and of the interpreter that they are installed for."""
        plugin = [path.read_text() for path in sorted(PLUGIN.rglob("*")) if path.suffix in {".py", ".toml"}]
        text = "\n".join([REQUIREMENTS.read_text(), *plugin, sys.version, sys.base_prefix])
        return hashlib.sha256(text.encode()).hexdigest()

    @property
    def folder(self) -> Path:
        """Give the environment's folder."""
        return self.cache / f"mlflow-{self.key[:12]}"

    @property
    def python(self) -> Path:
        """Give its interpreter."""
        return self.folder / "bin" / "python"

    @property
    def _whole(self) -> Path:
        return self.folder / "whole"

    @property
    def ready(self) -> bool:
        """Say whether everything was installed: the marker is written last, and names what it vouches for."""
        return self._whole.exists() and self._whole.read_text() == self.key and self.python.exists()

    def ensure(self, report: Callable[[int, int], None]) -> None:
        """Install what the lock names, unless it is there; `report` hears bytes fetched, bytes known of."""
        self.cache.mkdir(parents=True, exist_ok=True)
        with FileLock(self.cache / "mlflow.lock"):
            if self.ready:
                return
            rotate(self.log)
            shutil.rmtree(self.folder, ignore_errors=True)
            new, python, lock = str(self.folder), str(self.python), str(REQUIREMENTS)
            self._uv(["venv", "--quiet", "--python", sys.executable, new], report)
            self._uv(["pip", "sync", "--python", python, "--require-hashes", lock], report)
            self._uv(
                ["pip", "install", "--python", python, "--no-deps", "--no-build-isolation", str(PLUGIN)],
                report,
            )
            write_whole(self._whole, self.key)

    def _uv(self, arguments: list[str], report: Callable[[int, int], None]) -> None:
        launch = Launch([uv.find_uv_bin(), *arguments], self.cache, _SETTINGS, FOREIGN)
        with subprocess.Popen(
            launch.argv,
            cwd=launch.cwd,
            env=child_environment(launch),
            stdin=subprocess.DEVNULL,
            stdout=subprocess.PIPE,
            stderr=subprocess.STDOUT,
            text=True,
        ) as process:
            _follow(process.stdout or [], self.log, report)
        if process.returncode != 0:
            what = f"the packages of {REQUIREMENTS.name} could not be installed (uv: {process.returncode})"
            raise failure("mlflow", what, _MEND, self.log)


def _follow(lines: Iterable[str], log: Path, report: Callable[[int, int], None]) -> None:
    sizes: dict[str, int] = {}
    done = 0
    with log.open("a") as kept:
        for line in lines:
            kept.write(line)
            kept.flush()
            news = _NEWS.match(line)
            if news and news[1] == "Downloading" and news[3]:
                sizes[news[2]] = int(float(news[3]) * _UNITS[news[4]])
            elif news and news[1] == "Downloaded":
                done += sizes.get(news[2], 0)
            if news:
                report(done, sum(sizes.values()))
