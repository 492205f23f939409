"""What an admin does: users, passwords and rights in Kafka and MLflow, by their own interfaces."""

import argparse
import re
import shlex
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from datetime import UTC, datetime
from pathlib import Path
from typing import Any
from uuid import uuid4

import httpx
from confluent_kafka.admin import (  # type: ignore[attr-defined]  # it has no list of what it exports
    AclBinding,
    AclBindingFilter,
    AclOperation,
    AclPermissionType,
    AdminClient,
    ResourcePatternType,
    ResourceType,
    ScramCredentialInfo,
    ScramMechanism,
    UserScramCredentialUpsertion,
)

from support.secured import ADMIN, PASSWORD

SECURITY = (Path(__file__).parents[2] / "docs" / "security.md").read_text(encoding="utf-8")
_SECONDS = 20


@dataclass(frozen=True, slots=True)
class Acl:
    """One right of one user."""

    user: str
    operation: str
    resource: str
    name: str
    pattern: str = "literal"

    def binding(self) -> AclBinding:
        """Give it as the admin client wants it."""
        return AclBinding(*self._fields())

    def matching(self) -> AclBindingFilter:
        """Give what finds it."""
        return AclBindingFilter(*self._fields())

    def _fields(self) -> tuple[Any, ...]:
        operation = re.sub(r"(?<!^)(?=[A-Z])", "_", self.operation).upper()
        return (
            ResourceType[self.resource.upper()],
            self.name,
            ResourcePatternType[self.pattern.upper()],
            f"User:{self.user}",
            "*",
            AclOperation[operation],
            AclPermissionType.ALLOW,
        )


def documented_acls(prefix: str) -> Iterator[Acl]:
    """Give the rights of the commands in docs/security.md, for a world with a prefix."""
    parser = argparse.ArgumentParser()
    parser.add_argument("--add", action="store_true")
    parser.add_argument("--allow-principal")
    parser.add_argument("--resource-pattern-type", default="literal")
    for option in ("--operation", "--topic", "--group"):
        parser.add_argument(option, action="append", default=[])
    for line in re.findall(r"^kafka-acls (--add .*)$", SECURITY, re.MULTILINE):
        given = parser.parse_args(shlex.split(line))
        user, pattern = given.allow_principal.removeprefix("User:"), given.resource_pattern_type
        for resource, names in (("topic", given.topic), ("group", given.group)):
            for name in names:
                for operation in given.operation:
                    yield Acl(user, operation, resource, prefix + name, pattern)


class KafkaAdmin:
    """Kafka's super user."""

    def __init__(self, kafka: str) -> None:
        self._client = AdminClient({"bootstrap.servers": kafka})

    def set_password(self, user: str, password: str) -> None:
        """Make a user, or give him another password."""
        info = ScramCredentialInfo(ScramMechanism.SCRAM_SHA_512, 4096)
        change = UserScramCredentialUpsertion(user, info, password.encode())
        for future in self._client.alter_user_scram_credentials([change]).values():
            future.result(_SECONDS)

    def grant(self, *acls: Acl) -> None:
        """Give rights."""
        for future in self._client.create_acls([acl.binding() for acl in acls]).values():
            future.result(_SECONDS)

    def revoke(self, *acls: Acl) -> None:
        """Take rights away."""
        for future in self._client.delete_acls([acl.matching() for acl in acls]).values():
            assert future.result(_SECONDS)


class MlflowAdmin:
    """MLflow's admin."""

    def __init__(self, url: str) -> None:
        self._client = httpx.Client(
            base_url=f"{url}/api", auth=(ADMIN, PASSWORD), timeout=30, trust_env=False
        )

    def close(self) -> None:
        """Disconnect."""
        self._client.close()

    def make_experiment(self) -> str:
        """Give the id of a new experiment."""
        return str(self._post("2.0/mlflow/experiments/create", name=uuid4().hex)["experiment_id"])

    def make_user(self, name: str, password: str) -> None:
        """Make a user without any right."""
        self._post("2.0/mlflow/users/create", username=name, password=password)

    def set_password(self, name: str, password: str) -> None:
        """Give a user another password."""
        answer = self._client.patch(
            "2.0/mlflow/users/update-password", json={"username": name, "password": password}
        )
        answer.raise_for_status()

    def grant(self, user: str, experiment: str, permission: str) -> None:
        """Give a user a right to an experiment, in place of the one that he has."""
        right = {"username": user, "resource_type": "experiment", "resource_id": experiment}
        had = self._client.post("3.0/mlflow/users/permissions/revoke", json=right)
        assert had.status_code in {httpx.codes.OK, httpx.codes.NOT_FOUND}, had.text
        self._post("3.0/mlflow/users/permissions/grant", **right, permission=permission)

    def write_trace(self, experiment: str, request_id: str) -> str:
        """Give the id of a new trace."""
        trace_id = f"tr-{uuid4().hex}"
        location = {"type": "MLFLOW_EXPERIMENT", "mlflow_experiment": {"experiment_id": experiment}}
        info = {
            "trace_id": trace_id,
            "client_request_id": request_id,
            "trace_location": location,
            "request_time": datetime.now(UTC).isoformat().replace("+00:00", "Z"),
            "execution_duration": "0.1s",
            "state": "OK",
        }
        self._post("3.0/mlflow/traces", trace={"trace_info": info})
        return trace_id

    def assessments(self, experiment: str) -> Sequence[dict[str, Any]]:
        """Give every assessment of an experiment."""
        location = {"type": "MLFLOW_EXPERIMENT", "mlflow_experiment": {"experiment_id": experiment}}
        page = self._post("3.0/mlflow/traces/search", locations=[location], max_results=500)
        return [item for trace in page.get("traces", []) for item in trace.get("assessments", [])]

    def _post(self, path: str, **body: Any) -> Any:
        return self._client.post(path, json=body).raise_for_status().json()
