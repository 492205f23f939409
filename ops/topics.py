"""Topics: create what is missing, describe what is there."""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any, Final

from aiokafka.admin import AIOKafkaAdminClient, NewTopic
from aiokafka.admin.config_resource import ConfigResource, ConfigResourceType
from aiokafka.errors import (
    ClusterAuthorizationFailedError,
    TopicAlreadyExistsError,
    TopicAuthorizationFailedError,
    for_code,
)
from tenacity import retry, retry_if_result, stop_after_delay, wait_fixed

from consumers.settings import Settings
from contracts.kafka import KafkaSettings
from contracts.kafka_refusals import no_right
from contracts.topics import TopicSpec
from ops.admin import admin_client
from ops.errors import TopicError

_VISIBLE_SECONDS: Final = 30
_REPLICATION: Final = 3


@dataclass(frozen=True, slots=True)
class TopicState:
    """A topic as Kafka has it; ``partitions`` is 0 where it does not exist."""

    name: str
    purpose: str
    partitions: int
    replication: int
    config: dict[str, str]


async def create_topics(settings: Settings) -> list[str]:
    """Create the topics that are missing and wait until all can be seen.

    Returns:
        the names of those that were created.

    Raises:
        TopicError: when Kafka refuses one, or the right to see it.

    """
    specs = settings.topics.specs()
    async with admin_client(settings.kafka) as admin:
        there = {state.name for state in await _describe(admin, settings.kafka, specs) if state.partitions}
        missing = [spec for spec in specs if spec.name not in there]
        created = await _create(admin, settings, missing) if missing else []
        await _wait_until_visible(admin, settings.kafka, specs)
    return created


@retry(
    retry=retry_if_result(lambda states: not all(state.partitions for state in states)),
    wait=wait_fixed(0.1),
    stop=stop_after_delay(_VISIBLE_SECONDS),
)
async def _wait_until_visible(
    admin: AIOKafkaAdminClient, kafka: KafkaSettings, specs: Sequence[TopicSpec]
) -> list[TopicState]:
    return await _describe(admin, kafka, specs)


async def describe_topics(settings: Settings) -> list[TopicState]:
    """Describe each topic, also those that are missing."""
    async with admin_client(settings.kafka) as admin:
        return await _describe(admin, settings.kafka, settings.topics.specs())


async def _create(admin: AIOKafkaAdminClient, settings: Settings, specs: Sequence[TopicSpec]) -> list[str]:
    cluster = await admin.describe_cluster()
    replication = settings.topic_replication or min(_REPLICATION, len(cluster["brokers"]))
    new = [
        NewTopic(spec.name, settings.topic_partitions, replication, topic_configs=dict(spec.config))
        for spec in specs
    ]
    response: Any = await admin.create_topics(new)
    created = []
    for name, code, *_ in response.topic_errors:
        error = for_code(code)
        if error in {TopicAuthorizationFailedError, ClusterAuthorizationFailedError}:
            raise TopicError(no_right(settings.kafka, f"topic {name!r}", "Create"))
        if code and error is not TopicAlreadyExistsError:
            msg = f"topic {name!r} was not created: {error.__name__}"
            raise TopicError(msg)
        if not code:
            created.append(name)
    return created


async def _describe(
    admin: AIOKafkaAdminClient, kafka: KafkaSettings, specs: Sequence[TopicSpec]
) -> list[TopicState]:
    described = await admin.describe_topics([spec.name for spec in specs])
    for topic in described:
        # Also said of one that does not exist: who may not see a topic is not told.
        if topic["error_code"] == TopicAuthorizationFailedError.errno:
            raise TopicError(no_right(kafka, f"topic {topic['topic']!r}", "Describe"))
    there = {topic["topic"]: topic["partitions"] for topic in described if not topic["error_code"]}
    configs = await _configs(admin, list(there))
    return [
        TopicState(
            name=spec.name,
            purpose=spec.purpose,
            partitions=len(there.get(spec.name, [])),
            replication=len(there[spec.name][0]["replicas"]) if spec.name in there else 0,
            config={key: configs.get(spec.name, {}).get(key, "") for key in spec.config},
        )
        for spec in specs
    ]


async def _configs(admin: AIOKafkaAdminClient, names: Sequence[str]) -> dict[str, dict[str, str]]:
    if not names:
        return {}
    resources = [ConfigResource(ConfigResourceType.TOPIC, name) for name in names]
    found: dict[str, dict[str, str]] = {}
    responses: Any = await admin.describe_configs(resources)
    for response in responses:
        for _, _, _, name, entries in response.resources:
            found[name] = {entry[0]: entry[1] for entry in entries}
    return found
