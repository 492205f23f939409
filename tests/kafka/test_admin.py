"""The admin client on real Kafka."""

from typing import Any

import pytest
from aiokafka.cluster import ClusterMetadata

from consumers.settings import Settings
from ops.topics import describe_topics


async def test_a_broker_that_is_fenced_for_a_moment_is_waited_for(
    settings: Settings, monkeypatch: pytest.MonkeyPatch
) -> None:
    # What a fenced broker answers: metadata without a live broker. Two clients in turn are told so.
    update = ClusterMetadata.update_metadata
    told = 0

    def fenced(cluster: ClusterMetadata, metadata: Any) -> None:
        nonlocal told
        told += 1
        if told <= 2:
            metadata.brokers = []
        update(cluster, metadata)  # type: ignore[no-untyped-call]

    monkeypatch.setattr(ClusterMetadata, "update_metadata", fenced)
    states = await describe_topics(settings)
    assert told > 2
    assert all(state.partitions for state in states)
