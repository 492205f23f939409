"""What a Dockerfile says, and what the folder that it is built from would send."""

from collections.abc import Iterator
from io import BytesIO
from pathlib import Path

from docker.utils.build import exclude_paths
from dockerfile_parse.parser import DockerfileParser


def base_images(path: Path) -> set[str]:
    """Name the images that it builds upon, without its own stages."""
    words = [value.split() for instruction, value in _steps(path) if instruction == "FROM"]
    return {word[0] for word in words} - {word[2] for word in words if "AS" in word}


def last_user(path: Path) -> str:
    """Give the user of the stage that becomes the image."""
    user = "root"
    for instruction, value in _steps(path):
        if instruction == "FROM":
            user = "root"
        if instruction == "USER":
            user = value
    return user


def copied(path: Path) -> Iterator[str]:
    """Name what it takes from its context."""
    for instruction, value in _steps(path):
        words = value.split()
        if instruction in {"COPY", "ADD"} and not any(word.startswith("--from") for word in words):
            yield from (word.rstrip("/") for word in words[:-1] if not word.startswith("--"))


def build_context(folder: Path) -> set[str]:
    """Name the files that Docker's own client would send."""
    patterns = (folder / ".dockerignore").read_text().splitlines()
    ignored = [line for line in patterns if line and not line.startswith("#")]
    return {str(name) for name in exclude_paths(str(folder), ignored)}


def _steps(path: Path) -> Iterator[tuple[str, str]]:
    for step in DockerfileParser(fileobj=BytesIO(path.read_bytes())).structure:
        yield step["instruction"], step["value"]
