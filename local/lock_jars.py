"""Write `jars.lock` anew: every jar that Kafka's broker needs, with its sha256 and size.

Run it by hand after a change of version: `python -m local.lock_jars`.
"""

from __future__ import annotations

import hashlib
import sys
from concurrent.futures import ThreadPoolExecutor

from jgo import resolve
from jgo.maven import Artifact

from local.jars import LOCK

KAFKA = "org.apache.kafka:kafka_2.13:4.3.1"
# The `!` keeps this one's own dependencies from deciding versions: without it kafka-clients becomes 3.9.1.
LOGGING = "org.apache.logging.log4j:log4j-slf4j-impl:2.25.4!"


def line(artifact: Artifact) -> str:
    """Fetch one artifact and give its line of the lock: coordinates, sha256, bytes."""
    content = artifact.resolve().read_bytes()
    coordinates = f"{artifact.groupId}:{artifact.artifactId}:{artifact.version}"
    return f"{coordinates} {hashlib.sha256(content).hexdigest()} {len(content)}"


def main() -> None:
    """Resolve, fetch, and write the lock beside this module."""
    with ThreadPoolExecutor(8) as pool:
        lines = sorted(pool.map(line, resolve(f"{KAFKA}+{LOGGING}")))
    LOCK.write_text("\n".join([f"# {KAFKA} {LOGGING}, by `python -m local.lock_jars`", *lines, ""]))
    sys.stderr.write(f"{len(lines)} jars locked in {LOCK}\n")


if __name__ == "__main__":
    main()
