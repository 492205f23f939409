# ruff: noqa: INP001 - a script, in no package
"""Refuse the address of a package registry in any file: whoever installs names their own, by the environment.

A lock that names one sends a machine behind a mirror past it.
"""

import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

# Written apart, so that this file does not name them either.
HOSTS = tuple(
    ".".join(parts)
    for parts in (
        ("pypi", "org"),
        ("pythonhosted", "org"),
        ("npmjs", "org"),
        ("npmjs", "com"),
        ("yarnpkg", "com"),
        ("crates", "io"),
        ("proxy", "golang", "org"),
        ("sum", "golang", "org"),
        ("maven", "org"),
        ("maven", "apache", "org"),
        ("deb", "debian", "org"),
        ("docker", "io"),
        ("ghcr", "io"),
        ("quay", "io"),
        ("gcr", "io"),
    )
)


def main() -> int:
    """Print each line that names a registry; 1 if there is one."""
    found = [place for path in files() for place in addresses(path)]
    for place in found:
        sys.stderr.write(f"{place}\n")
    return 1 if found else 0


def files() -> list[Path]:
    """Give the files that git has, and those that it would take."""
    command = [
        "git",
        "ls-files",
        "-z",
        "--cached",
        "--others",
        "--exclude-standard",
    ]  # `--others`: not yet added
    names = subprocess.run(command, check=True, capture_output=True, text=True).stdout.split("\0")
    return [path for name in names if name and (path := Path(name)).is_file()]


def addresses(path: Path) -> Iterator[str]:
    """Name each line of a file in which a registry's host stands."""
    text = path.read_bytes().decode(errors="replace")
    for number, line in enumerate(text.splitlines(), start=1):
        for host in HOSTS:
            if host in line.lower():
                yield f"{path}:{number}: the address of a package registry ({host})"


if __name__ == "__main__":
    sys.exit(main())
