"""Users with passwords and few rights: what they need is enough, what they lack is named and waited for."""

import re
import time
from collections.abc import AsyncIterator, Callable, Iterator
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Any
from uuid import UUID, uuid4

import psycopg
import pytest
from support.consumers import Consumers, Running
from support.rights import SECURITY, Acl, KafkaAdmin, MlflowAdmin, documented_acls
from support.secured import ADMIN, PASSWORD, Secured, the_secured_stack
from support.waiting import wait_until
from support.world import dead_letters, outcomes, receipts
from typer.testing import CliRunner

from consumers.settings import Settings, to_environment
from contracts.events import FeedbackSubmitted
from contracts.kafka import KafkaSettings
from contracts.publisher import FeedbackPublisher, PublishError
from local.ports import free_port
from ops.cli import app
from ops.errors import TopicError
from ops.reading import read_topic
from ops.topics import create_topics

COMMENT = "a-comment-that-nobody-may-quote"
PASSWORDS = {
    "producer": "pass-word-of-the-producer",
    "operator": "pass-word-of-the-operator",
    "kafka": "pass-word-of-the-consumers-in-kafka",
    "postgres": "pass-word-of-the-consumers-in-postgres",
    "mlflow": "pass-word-of-the-consumers-in-mlflow",
}
WRONG = "pass-word-that-is-wrong"
PRODUCER, OPERATOR, CONSUMER = "chat-service", "feedback-operator", "feedback-consumers"
BACK_SECONDS = 15
"""Promised are 5 on a machine of its own; here it shares one with another stack, and passwords are hashed."""

pytestmark = pytest.mark.timeout(120)


@dataclass(slots=True)
class World:
    """Topics, a schema and an experiment in the secured stack, and everything that anybody could read."""

    secured: Secured
    kafka: KafkaAdmin
    mlflow: MlflowAdmin
    settings: Settings
    folder: Path
    looked: list[str] = field(default_factory=list)

    @property
    def experiment(self) -> str:
        return self.settings.mlflow_experiments[0]

    @property
    def as_admin(self) -> Settings:
        return self.settings.model_copy(update={"kafka": self.secured.kafka_settings(ADMIN, PASSWORD)})

    def acl(self, operation: str, resource: str, name: str, user: str = CONSUMER) -> Acl:
        return Acl(user, operation, resource, self.settings.topic_prefix + name)

    def producer(self) -> KafkaSettings:
        return self.secured.kafka_settings(PRODUCER, PASSWORDS["producer"])

    async def say(self, *, trace_id: str | None = None, comment: str = COMMENT) -> UUID:
        """Publish a chat with its trace, and a feedback about it; give the feedback's event id."""
        request = f"{self.settings.topic_prefix}{uuid4().hex[:12]}"
        said = {"name": "helpful", "value": True, "rationale": comment}
        written = trace_id or self.mlflow.write_trace(self.experiment, request)
        async with FeedbackPublisher(self.producer(), self.settings.topics) as publisher:
            await publisher.chat_completed(client_request_id=request, trace_id=written)
            event = await publisher.feedback_submitted(
                client_request_id=request, source={"type": "HUMAN", "id": "anna"}, assessments=[said]
            )
        return event.event_id

    def holds(self, event_id: UUID) -> bool:
        found = self.mlflow.assessments(self.experiment)
        return str(event_id) in {item["metadata"]["feedback.event_id"] for item in found}

    async def is_told(self, running: Running, *texts: str, what: str = "") -> None:
        """Wait until readiness names what is missing, and keep all that can be read meanwhile."""
        told = what or " and ".join(texts)
        await wait_until(lambda: running.answers("/readyz", 503, *texts), seconds=15, what=f"readyz: {told}")
        assert running.answers("/healthz", 200)
        self.looked += [running.get("/readyz").text, running.get("/metrics").text]

    async def goes_on(
        self, condition: Callable[[], bool], what: str, *, seconds: float = BACK_SECONDS
    ) -> None:
        await wait_until(condition, seconds=seconds, what=what)


@pytest.fixture(scope="module")
def secured(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Secured]:
    with the_secured_stack(tmp_path_factory.mktemp("secured")) as secured:
        kafka = KafkaAdmin(secured.plain_kafka)
        users = {PRODUCER: "producer", OPERATOR: "operator", CONSUMER: "kafka"}
        for user, name in users.items():
            kafka.set_password(user, PASSWORDS[name])
        kafka.set_password(ADMIN, PASSWORD)
        yield secured


@pytest.fixture(scope="module")
def mlflow_admin(secured: Secured) -> Iterator[MlflowAdmin]:
    admin = MlflowAdmin(secured.mlflow)
    admin.make_user(CONSUMER, PASSWORDS["mlflow"])
    yield admin
    admin.close()


@pytest.fixture(scope="module")
def world(secured: Secured, mlflow_admin: MlflowAdmin, tmp_path_factory: pytest.TempPathFactory) -> World:
    """A world whose users have the documented rights, and no others."""
    made = _world(secured, mlflow_admin, tmp_path_factory.mktemp("processes"))
    made.kafka.grant(*documented_acls(made.settings.topic_prefix))
    mlflow_admin.grant(CONSUMER, made.experiment, "EDIT")
    for statement in re.findall(r"```sql\n(.*?)```", SECURITY, re.DOTALL):
        secured.query(statement.replace("…", PASSWORDS["postgres"]))
    return made


def _world(secured: Secured, mlflow: MlflowAdmin, folder: Path) -> World:
    name = f"s{uuid4().hex[:8]}"
    settings = Settings(
        kafka=secured.kafka_settings(CONSUMER, PASSWORDS["kafka"]),
        topic_prefix=f"{name}-",
        topic_partitions=2,
        database_url=secured.database_url("feedback_consumers", PASSWORDS["postgres"]),
        database_schema=name,
        mlflow_tracking_uri=secured.mlflow,
        mlflow_experiments=(mlflow.make_experiment(),),
        http_port=free_port(),
    )
    return World(secured, KafkaAdmin(secured.plain_kafka), mlflow, settings, folder)


@pytest.fixture(scope="module")
async def started(world: World) -> AsyncIterator[Consumers]:
    await create_topics(_as_operator(world))
    with Consumers(world.settings, world.folder) as consumers:
        yield consumers


def _as_operator(world: World) -> Settings:
    kafka = world.secured.kafka_settings(OPERATOR, PASSWORDS["operator"])
    return world.settings.model_copy(update={"kafka": kafka})


@pytest.fixture(scope="module")
async def running(started: Consumers) -> Running:
    """The consumers, with the documented rights."""
    return await _start(started, CONSUMER)


async def _start(consumers: Consumers, user: str, name: str = "all", *, ready: bool = True) -> Running:
    return await consumers.start(
        name,
        ready=ready,
        MLFLOW_TRACKING_USERNAME=user,
        MLFLOW_TRACKING_PASSWORD=PASSWORDS["mlflow"],
        FEEDBACK_LOG_LEVEL="DEBUG",
    )


async def test_the_documented_rights_are_enough(world: World, running: Running) -> None:
    event = await world.say()
    async with FeedbackPublisher(world.producer(), world.settings.topics) as publisher:
        gone = await publisher.feedback_withdrawn(
            client_request_id=f"{world.settings.topic_prefix}gone",
            source={"type": "HUMAN", "id": "anna"},
            names=["helpful"],
        )
        assert publisher._producer is not None
        await publisher._producer.send_and_wait(world.settings.topics.feedback_submitted, b"nonsense")
    await wait_until(lambda: world.holds(event), seconds=20, what="it is logged")

    async def is_told() -> bool:
        told = await receipts(world.as_admin)
        return {receipt.event_id for receipt in told} >= {event, gone.event_id}

    await wait_until(is_told, seconds=20, what="both are told")
    assert outcomes(await receipts(world.as_admin)) == {"logged": 1, "withdrawn": 1}
    (letter,) = await dead_letters(world.as_admin)
    assert letter.said.reason == "undecodable"
    assert running.is_ready()


@dataclass(frozen=True, slots=True)
class Lock:
    """Something that an admin can close and open again, and what readiness says meanwhile."""

    name: str
    close: Callable[[World], object]
    open: Callable[[World], object]
    told: Callable[[World], tuple[str, ...]]


def _kafka_lock(operation: str, resource: str, name: str) -> Lock:
    def acl(world: World) -> Acl:
        return world.acl(operation, resource, name)

    return Lock(
        f"{operation} {resource}",
        lambda world: world.kafka.revoke(acl(world)),
        lambda world: world.kafka.grant(acl(world)),
        lambda world: (
            '"kafka"',
            f"User:{CONSUMER} has no right to {resource} '{acl(world).name}'",
            operation,
        ),
    )


LOCKS = [
    _kafka_lock("Read", "topic", "feedback-submitted"),
    _kafka_lock("Read", "group", "feedback-logger"),
    _kafka_lock("Write", "topic", "feedback-logged"),
    Lock(
        "MLflow's EDIT",
        lambda world: world.mlflow.grant(CONSUMER, world.experiment, "READ"),
        lambda world: world.mlflow.grant(CONSUMER, world.experiment, "EDIT"),
        lambda _: ('"mlflow"', "PERMISSION_DENIED", f"grant the user '{CONSUMER}' EDIT"),
    ),
    Lock(
        "MLflow's password",
        lambda world: world.mlflow.set_password(CONSUMER, WRONG),
        lambda world: world.mlflow.set_password(CONSUMER, PASSWORDS["mlflow"]),
        lambda _: ('"mlflow"', "UNAUTHENTICATED", "MLFLOW_TRACKING_PASSWORD"),
    ),
]


@pytest.mark.parametrize("lock", LOCKS, ids=lambda lock: lock.name)
async def test_a_right_that_is_taken_away_is_named_and_waited_for(
    world: World, running: Running, lock: Lock
) -> None:
    before = len(await dead_letters(world.as_admin))
    lock.close(world)
    event = await world.say()
    await world.is_told(running, *lock.told(world))
    lock.open(world)
    await world.goes_on(lambda: world.holds(event) and running.is_ready(), f"after {lock.name} it goes on")
    assert len(await dead_letters(world.as_admin)) == before


async def test_a_trace_that_is_not_there_is_no_missing_right(world: World, running: Running) -> None:
    """MLflow answers 403 for both."""
    prefix = world.settings.topic_prefix
    traces = [f"tr-{uuid4().hex}", world.mlflow.write_trace(world.experiment, f"{prefix}there")]
    gone, there = (
        FeedbackSubmitted.model_validate(
            {"trace_id": trace, "source": {"type": "CODE"}, "assessments": [{"name": "ok", "value": True}]}
        )
        for trace in traces
    )
    async with FeedbackPublisher(world.producer(), world.settings.topics) as publisher:
        await publisher.publish(gone, there)
    await wait_until(lambda: world.holds(there.event_id), seconds=15, what="the other one is logged")
    assert running.answers("/readyz", 200)


async def test_one_lock_after_the_other_opens(world: World, mlflow_admin: MlflowAdmin) -> None:
    """From a wrong password everywhere to work, without a restart."""
    late = _world(world.secured, mlflow_admin, world.folder / "late")
    late.folder.mkdir()
    late.looked = world.looked
    user, role = f"late-{late.settings.database_schema}", f"late_{late.settings.database_schema}"
    late.settings = late.settings.model_copy(
        update={
            "kafka": world.secured.kafka_settings(user, PASSWORDS["kafka"]),
            "database_url": type(late.settings.database_url)(
                world.secured.database_url(role, PASSWORDS["postgres"])
            ),
        }
    )
    world.secured.query(f"CREATE ROLE {role} LOGIN PASSWORD '{WRONG}'")
    late.kafka.set_password(user, WRONG)
    await create_topics(late.as_admin)
    documented = list(documented_acls(late.settings.topic_prefix))
    rights = [acl for acl in documented if acl.user == CONSUMER]
    late.kafka.grant(*(acl for acl in documented if acl.user == PRODUCER))

    def grant(operation: str, resource: str, *names: str) -> Callable[[], None]:
        return lambda: late.kafka.grant(*(late.acl(operation, resource, name, user) for name in names))

    prefix = late.settings.topic_prefix
    locks: list[tuple[tuple[str, ...], Callable[[], Any]]] = [
        (
            (f'password authentication failed for user \\"{role}\\"', "check FEEDBACK_DATABASE_URL"),
            lambda: world.secured.query(f"ALTER ROLE {role} PASSWORD '{PASSWORDS['postgres']}'"),
        ),
        (
            ("permission denied for database feedback", "docs/security.md"),
            lambda: world.secured.query(f"GRANT CREATE ON DATABASE feedback TO {role}"),
        ),
        (
            (f"user '{user}' is refused", "FEEDBACK_KAFKA_SASL_PASSWORD"),
            lambda: late.kafka.set_password(user, PASSWORDS["kafka"]),
        ),
        (("no right to any of the topics", "Write"), grant("Write", "topic", "feedback-dead-letter")),
        (
            (f"topic '{prefix}feedback-logged': grant it Write", f"topic '{prefix}feedback-submitted'"),
            lambda: late.kafka.grant(*(replace(acl, user=user) for acl in rights if acl.resource == "topic")),
        ),
        (
            (f"no right to group '{prefix}feedback-logger': grant it Read",),
            grant("Read", "group", "feedback-logger"),
        ),
    ]
    with Consumers(late.settings, late.folder) as consumers:
        running = await _start(consumers, user, "feedback", ready=False)
        opened = 0.0
        for told, unlock in locks:
            await wait_until(lambda: running.answers("/readyz", 503, *told), seconds=20, what=str(told))  # noqa: B023
            assert not opened or time.monotonic() - opened < 2 * BACK_SECONDS
            await late.is_told(running, *told)
            unlock()
            opened = time.monotonic()
        await late.goes_on(running.is_ready, "it is ready")
        event = await late.say()
        await late.is_told(running, "UNAUTHENTICATED", "MLFLOW_TRACKING_USERNAME")
        mlflow_admin.make_user(user, PASSWORDS["mlflow"])
        await late.is_told(running, "PERMISSION_DENIED", f"grant the user '{user}' EDIT")
        mlflow_admin.grant(user, late.experiment, "EDIT")
        # Longer than at a moment's lock: MLflow is asked all of it for the first time.
        await late.goes_on(
            lambda: late.holds(event) and running.is_ready(), "it is logged", seconds=2 * BACK_SECONDS
        )
        assert running.terminate() == 0
    assert await dead_letters(late.as_admin) == []


async def test_a_server_whose_certificate_another_authority_signed_is_not_believed(
    world: World, started: Consumers
) -> None:
    stranger = world.secured.certificates.stranger
    postgres = world.secured.database_url("feedback_consumers", PASSWORDS["postgres"], cafile=stranger)
    first = await started.start("chats", ready=False, FEEDBACK_KAFKA_SSL_CAFILE=str(stranger))
    second = await started.start("chats", ready=False, FEEDBACK_DATABASE_URL=postgres)
    await world.is_told(first, '"kafka"', "its certificate is not trusted", "FEEDBACK_KAFKA_SSL_CAFILE")
    await world.is_told(second, '"postgres"', "certificate verify failed", "FEEDBACK_DATABASE_URL")
    assert first.terminate() == 0


async def test_the_publisher_names_what_keeps_it_out(world: World) -> None:
    secured, topics = world.secured, world.settings.topics
    stranger = secured.certificates.stranger
    doors = [
        (
            secured.kafka_settings(PRODUCER, WRONG),
            f"user '{PRODUCER}' is refused; check FEEDBACK_KAFKA_SASL_U",
        ),
        (
            secured.kafka_settings(PRODUCER, PASSWORDS["producer"], cafile=stranger),
            "FEEDBACK_KAFKA_SSL_CAFILE",
        ),
        (secured.kafka_settings(PRODUCER, PASSWORDS["producer"], cafile=Path("no.pem")), "FileNotFoundError"),
    ]
    for kafka, said in doors:
        with pytest.raises(PublishError, match=re.escape(said)) as caught:
            await FeedbackPublisher(kafka, topics).__aenter__()
        assert secured.kafka in str(caught.value)
        assert WRONG not in str(caught.value)

    right = world.acl("Write", "topic", "feedback-submitted", PRODUCER)
    async with FeedbackPublisher(world.producer(), topics) as publisher:
        world.kafka.revoke(right)
        with pytest.raises(PublishError, match=re.escape(right.name)) as caught:
            await publisher.feedback_withdrawn(
                client_request_id="r", source={"type": "HUMAN", "id": "anna"}, names=["a"]
            )
        assert f"User:{PRODUCER} has no right to topic" in str(caught.value)
        assert "grant it Write" in str(caught.value)
        world.kafka.grant(right)
        await publisher.publish(*caught.value.events)


async def test_the_topics_command_names_the_right_that_is_missing(world: World) -> None:
    other = _as_operator(world).model_copy(update={"topic_prefix": f"{world.settings.topic_prefix}other-"})
    missing = f"User:{OPERATOR} has no right to topic '{other.topic_prefix}[0-9a-z-]+': grant it"
    with pytest.raises(TopicError, match=f"{missing} Describe"):
        await create_topics(other)
    world.kafka.grant(Acl(OPERATOR, "Describe", "topic", other.topic_prefix, "prefixed"))
    with pytest.raises(TopicError, match=f"{missing} Create"):
        await create_topics(other)


def test_a_command_names_what_keeps_it_out_and_shows_no_password(world: World) -> None:
    kafka = world.secured.kafka_settings(OPERATOR, WRONG)
    variables = to_environment(world.settings.model_copy(update={"kafka": kafka}))
    shown = CliRunner().invoke(app, ["topics", "describe"], env=variables)
    assert shown.exit_code == 1
    assert f"user '{OPERATOR}' is refused" in " ".join(shown.stderr.split())
    assert WRONG not in shown.output + shown.stderr


async def test_nothing_that_is_secret_can_be_read_anywhere(world: World, running: Running) -> None:
    """After all of the above: a store that quotes the comment as it refuses it, then a database that does."""
    database = world.secured.postgres.rsplit("/", 1)[0] + "/mlflow"
    with psycopg.connect(database, autocommit=True) as connection:
        refuse = "ADD CONSTRAINT refuse CHECK (rationale NOT LIKE '%refused-by-mlflow%') NOT VALID"
        connection.execute(f"ALTER TABLE assessments {refuse}".encode())
    await world.say(comment=f"{COMMENT} refused-by-mlflow")

    async def is_rejected() -> bool:
        return "rejected" in {letter.said.reason for letter in await dead_letters(world.as_admin)}

    await wait_until(is_rejected, seconds=30, what="it is dead-lettered")
    world.looked += [running.get("/readyz").text, running.get("/metrics").text]
    letters = len(await dead_letters(world.as_admin))
    world.secured.query(
        f"ALTER TABLE {world.settings.database_schema}.feedback "
        "ADD CONSTRAINT refuse CHECK (payload NOT LIKE '%refused-by-us%') NOT VALID"
    )
    await world.say(comment=f"{COMMENT} refused-by-us")

    async def is_over() -> bool:
        return running.process.poll() is not None or len(await dead_letters(world.as_admin)) > letters

    await wait_until(is_over, seconds=30, what="the consumer has met it")

    logs = [log.read_text() for log in world.folder.rglob("*.log")]
    told = await read_topic(world.as_admin.kafka, world.settings.topics.feedback_logged)
    said = [(record.value or b"").decode() for record in told]
    headers = [str(letter.said) for letter in await dead_letters(world.as_admin)]
    for kind in (logs, said, headers, world.looked):
        assert kind
        for text in kind:
            for secret in (COMMENT, *PASSWORDS.values(), WRONG):
                assert secret not in text
