"""The settings of one KRaft node; what is not named here is Kafka's default."""

from __future__ import annotations

from pathlib import Path

from local.ports import HOST

_LARGEST_BATCH_BYTES = 4 * 1024 * 1024


def settings(node: int, logs: Path, port: int, controllers: list[int]) -> str:
    """Give a node's `server.properties`; `controllers` are the controller ports of nodes 1, 2, … in order."""
    copies = min(len(controllers), 3)
    enough = max(1, copies - 1)
    values = {
        "process.roles": "broker,controller",
        "node.id": node,
        "controller.quorum.voters": ",".join(f"{n}@{HOST}:{p}" for n, p in enumerate(controllers, start=1)),
        "listeners": f"PLAINTEXT://{HOST}:{port},CONTROLLER://{HOST}:{controllers[node - 1]}",
        "advertised.listeners": f"PLAINTEXT://{HOST}:{port}",
        "controller.listener.names": "CONTROLLER",
        "listener.security.protocol.map": "PLAINTEXT:PLAINTEXT,CONTROLLER:PLAINTEXT",
        "inter.broker.listener.name": "PLAINTEXT",
        "log.dirs": logs,
        "auto.create.topics.enable": "false",
        "default.replication.factor": copies,
        "min.insync.replicas": enough,
        "offsets.topic.replication.factor": copies,
        # Fewer than the 50 of a real cluster: they are made when the first consumer joins, which waits.
        "offsets.topic.num.partitions": 8,
        "transaction.state.log.replication.factor": copies,
        "transaction.state.log.min.isr": enough,
        "transaction.state.log.num.partitions": 8,
        "share.coordinator.state.topic.replication.factor": copies,
        "share.coordinator.state.topic.min.isr": enough,
        "group.initial.rebalance.delay.ms": 0,
        "message.max.bytes": _LARGEST_BATCH_BYTES,
        "replica.fetch.max.bytes": _LARGEST_BATCH_BYTES,
        # A killed broker is missed after 3 s instead of 9: the worst stall that others then see.
        "broker.session.timeout.ms": 3000,
        "broker.heartbeat.interval.ms": 500,
    }
    return "".join(f"{name}={value}\n" for name, value in values.items())
