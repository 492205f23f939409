"""Where the tests' real stack comes from: given addresses, else containers, else packages."""

import gc
import os
import warnings
from collections.abc import Iterator
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass
from pathlib import Path
from uuid import uuid4

import docker
import httpx
from docker.errors import DockerException
from testcontainers.community.postgres import PostgresContainer
from testcontainers.core.container import DockerContainer
from testcontainers.core.image import DockerImage
from testcontainers.core.wait_strategies import HttpWaitStrategy, LogMessageWaitStrategy

from consumers.settings import Settings
from contracts.kafka import KafkaSettings
from local import stack as local_stack
from local.ports import free_port

ROOT = Path(__file__).parents[2]


@dataclass(frozen=True, slots=True)
class Stack:
    """Addresses of the running parts; ``home`` is the local stack's folder where that is what runs."""

    kafka: str
    postgres: str
    mlflow: str
    home: Path | None = None


@contextmanager
def the_stack(folder: Path) -> Iterator[Stack]:
    """Give a running stack, and end what was started for it."""
    if given := _given():
        yield given
    elif _docker_runs():
        with _containers() as stack:
            yield stack
    else:
        addresses = local_stack.up(folder)
        yield Stack(addresses.kafka, addresses.postgres, addresses.mlflow, folder)
        local_stack.down(folder, purge=True)


def _given() -> Stack | None:
    names = ("FEEDBACK_KAFKA_BOOTSTRAP_SERVERS", "FEEDBACK_DATABASE_URL", "MLFLOW_TRACKING_URI")
    values = [os.environ.get(name, "") for name in names]
    return Stack(kafka=values[0], postgres=values[1], mlflow=values[2]) if all(values) else None


def _docker_runs() -> bool:
    with warnings.catch_warnings():
        # Without an engine Docker's client leaves its socket to the garbage collector.
        warnings.simplefilter("ignore", ResourceWarning)
        try:
            docker.from_env().ping()
            runs = True
        except DockerException:
            runs = False
        gc.collect()
    return runs


@contextmanager
def _containers() -> Iterator[Stack]:
    with ExitStack() as containers:
        port = free_port()
        containers.enter_context(_kafka(port))
        postgres = containers.enter_context(PostgresContainer("postgres:18.6-trixie", driver=None))
        image = containers.enter_context(
            DockerImage(path=str(ROOT), dockerfile_path="deploy/docker/mlflow.Dockerfile")
        )
        mlflow = containers.enter_context(
            DockerContainer(str(image))
            .with_command(
                "mlflow server --host 0.0.0.0 --port 5000 --backend-store-uri sqlite:////tmp/mlflow.db"
            )
            .with_exposed_ports(5000)
            .waiting_for(HttpWaitStrategy(5000, "/health"))
        )
        url = f"http://{mlflow.get_container_host_ip()}:{mlflow.get_exposed_port(5000)}"
        yield Stack(f"127.0.0.1:{port}", postgres.get_connection_url(), url)


def _kafka(port: int) -> DockerContainer:
    settings = {
        "KAFKA_NODE_ID": "1",
        "KAFKA_PROCESS_ROLES": "broker,controller",
        "KAFKA_LISTENERS": "PLAINTEXT://:9092,CONTROLLER://:9093",
        "KAFKA_ADVERTISED_LISTENERS": f"PLAINTEXT://127.0.0.1:{port}",
        "KAFKA_CONTROLLER_LISTENER_NAMES": "CONTROLLER",
        "KAFKA_CONTROLLER_QUORUM_VOTERS": "1@localhost:9093",
        "KAFKA_LISTENER_SECURITY_PROTOCOL_MAP": "CONTROLLER:PLAINTEXT,PLAINTEXT:PLAINTEXT",
        "KAFKA_OFFSETS_TOPIC_REPLICATION_FACTOR": "1",
        "KAFKA_AUTO_CREATE_TOPICS_ENABLE": "false",
        "KAFKA_GROUP_INITIAL_REBALANCE_DELAY_MS": "0",
    }
    return (
        DockerContainer("apache/kafka:4.3.1")
        .with_envs(**settings)
        .with_bind_ports(9092, port)
        .waiting_for(LogMessageWaitStrategy("Kafka Server started"))
    )


def make_settings(stack: Stack, **given: object) -> Settings:
    """Give settings for a world of its own in the shared stack: topics, groups, schema and experiment."""
    world = f"t{uuid4().hex[:10]}"
    fields: dict[str, object] = {
        "kafka": KafkaSettings(bootstrap_servers=stack.kafka),
        "topic_prefix": f"{world}-",
        "topic_partitions": 6,
        "database_url": stack.postgres,
        "database_schema": world,
        "mlflow_tracking_uri": stack.mlflow,
        "mlflow_experiments": (make_experiment(stack, world),),
        "http_port": free_port(),
        # One by one, so that faults find work under way; what is meant for the bulk sink says so.
        "mlflow_sink": "rest",
        "retry_delays": ("1s", "2s"),
        "retry_attempts": (2, 2),
    }
    return Settings(**(fields | given))  # type: ignore[arg-type]  # the fields by name


def make_experiment(stack: Stack, name: str) -> str:
    """Create an experiment and give its id."""
    url = f"{stack.mlflow}/api/2.0/mlflow/experiments/create"
    response = httpx.post(url, json={"name": name}, timeout=30)
    return str(response.raise_for_status().json()["experiment_id"])
