"""Kafka's jars, fetched side by side from the repository that jgo knows, each checked against `jars.lock`."""

from __future__ import annotations

import hashlib
import os
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from pathlib import Path

import requests

from local.errors import failure
from local.files import write_whole

LOCK = Path(__file__).with_name("jars.lock")
REPOSITORY_VARIABLE = "FEEDBACK_LOCAL_JAR_REPOSITORY"
_AT_ONCE = 8
_TRIES = 3
_TIMEOUT_SECONDS = 30
_MEND = (
    "give this machine a way to a Maven repository (a proxy by HTTPS_PROXY, a mirror by "
    f"{REPOSITORY_VARIABLE}) and run `up` again; what has come already is kept"
)


@dataclass(frozen=True, slots=True)
class Jar:
    """One line of the lock."""

    group: str
    artifact: str
    version: str
    sha256: str
    size: int

    @property
    def file(self) -> str:
        """Give the jar's own file name."""
        return f"{self.artifact}-{self.version}.jar"

    @property
    def remote(self) -> str:
        """Give the jar's path within a Maven repository."""
        return f"{self.group.replace('.', '/')}/{self.artifact}/{self.version}/{self.file}"


def locked() -> list[Jar]:
    """Read the lock."""
    return [_jar(*line.split()) for line in LOCK.read_text().splitlines() if not line.startswith("#")]


def _jar(coordinates: str, sha256: str, size: str) -> Jar:
    group, artifact, version = coordinates.split(":")
    return Jar(group, artifact, version, sha256, int(size))


def ensure(folder: Path, report: Callable[[int, int], None]) -> list[Path]:
    """Bring every jar of the lock into `folder` and give their paths.

    `report` hears how many bytes have come and how many are to come in all; not called when nothing is
    missing. A jar that is there counts only with its right sha256, so a damaged one is fetched again.
    """
    jars = locked()
    folder.mkdir(parents=True, exist_ok=True)
    with ThreadPoolExecutor(_AT_ONCE) as pool:
        good = pool.map(lambda jar: _intact(folder / jar.file, jar), jars)
        missing = [jar for jar, intact in zip(jars, good, strict=True) if not intact]
        if missing:
            _fetch_all(pool, missing, folder, report)
    return [folder / jar.file for jar in jars]


def _fetch_all(
    pool: ThreadPoolExecutor, missing: list[Jar], folder: Path, report: Callable[[int, int], None]
) -> None:
    total, done = sum(jar.size for jar in missing), 0
    report(done, total)
    with requests.Session() as session:
        base = _repository()
        # Largest first: a big jar begun last would be waited for alone.
        ordered = sorted(missing, key=lambda jar: -jar.size)
        for size in pool.map(lambda jar: _fetch(session, base, jar, folder), ordered):
            done += size
            report(done, total)


def _repository() -> str:
    given = os.environ.get(REPOSITORY_VARIABLE)
    if given:
        return given.rstrip("/")
    # Imported here because jgo loads a resolver that a warm start has no use for.
    from jgo.constants import MAVEN_CENTRAL_URL  # noqa: PLC0415

    return str(MAVEN_CENTRAL_URL)


def _fetch(session: requests.Session, base: str, jar: Jar, folder: Path) -> int:
    reason = ""
    for _ in range(_TRIES):
        try:
            content = _download(session, f"{base}/{jar.remote}")
        except requests.RequestException as error:
            reason = _reason(error)
            continue
        if hashlib.sha256(content).hexdigest() == jar.sha256:
            write_whole(folder / jar.file, content)
            return jar.size
        reason = f"what came has another sha256 than {LOCK.name} says"
    what = f"could not fetch {jar.group}:{jar.artifact}:{jar.version} in {_TRIES} tries: {reason}"
    raise failure("kafka", what, _MEND)


def _download(session: requests.Session, url: str) -> bytes:
    answer = session.get(url, timeout=_TIMEOUT_SECONDS)
    answer.raise_for_status()
    return answer.content


def _reason(error: requests.RequestException) -> str:
    if error.response is not None:
        return f"the repository answered {error.response.status_code}"
    return f"the repository could not be reached ({type(error).__name__})"


def _intact(path: Path, jar: Jar) -> bool:
    if not path.exists() or path.stat().st_size != jar.size:
        return False
    return hashlib.sha256(path.read_bytes()).hexdigest() == jar.sha256
