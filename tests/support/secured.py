"""Kafka, Postgres and MLflow of the local stack, each with the locks that an operator would fit."""

from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, replace
from pathlib import Path
from typing import ClassVar

import httpx
import psycopg

from contracts.kafka import KafkaSettings
from local import ports as local_ports
from local.files import write_whole
from local.home import Home
from local.kafka import Cluster, KafkaNode, make_cluster
from local.lift import lift, lower
from local.mlflow_server import MlflowServer
from local.part import Part, Unhealthy
from local.postgres import DATABASE, Postgres
from local.processes import Launch
from local.progress import Silent
from support.bulk import SqliteMlflow
from support.certificates import Certificates, make_certificates
from support.tls_front import tls_front

ADMIN = "admin"
PASSWORD = "pass-word-of-the-admin"  # noqa: S105 - of servers that live for one test run
_SASL = "kafka-sasl"


class SecuredKafka(KafkaNode):
    """Clients come over SASL_SSL and need ACLs; the plain listener is for the node itself."""

    def __init__(self, home: Home, cluster: Cluster, certificates: Certificates) -> None:
        super().__init__(home, cluster.names[0], cluster)
        self._certificates = certificates

    @property
    def port_names(self) -> list[str]:
        """Give the node's own ports, then the one for clients."""
        return [*super().port_names, _SASL]

    def prepare(self, ports: dict[str, int]) -> None:
        """Add the locks to the settings; of two lines for one setting Kafka takes the last."""
        super().prepare(ports)
        plain, controller, sasl = (ports[name] for name in self.port_names)
        store = self.data / "keystore.pem"
        store.write_bytes(self._certificates.key.read_bytes() + self._certificates.certificate.read_bytes())
        host = local_ports.HOST
        login = "org.apache.kafka.common.security.scram.ScramLoginModule required;"
        values = {
            "listeners": f"PLAINTEXT://{host}:{plain},CONTROLLER://{host}:{controller},SASL_SSL://{host}:{sasl}",
            "advertised.listeners": f"PLAINTEXT://{host}:{plain},SASL_SSL://{host}:{sasl}",
            "listener.security.protocol.map": "PLAINTEXT:PLAINTEXT,CONTROLLER:PLAINTEXT,SASL_SSL:SASL_SSL",
            "sasl.enabled.mechanisms": "SCRAM-SHA-512",
            "listener.name.sasl_ssl.scram-sha-512.sasl.jaas.config": login,
            "ssl.keystore.type": "PEM",
            "ssl.keystore.location": store,
            "authorizer.class.name": "org.apache.kafka.metadata.authorizer.StandardAuthorizer",
            "super.users": f"User:ANONYMOUS;User:{ADMIN}",
        }
        lines = "".join(f"{name}={value}\n" for name, value in values.items())
        file = self.data / "server.properties"
        write_whole(file, file.read_text() + lines)

    @property
    def clients(self) -> str:
        """Give the address for clients."""
        return f"{local_ports.HOST}:{local_ports.remembered(self.home.ports)[_SASL]}"


class SecuredPostgres(Postgres):
    """A password for everyone but the superuser; TLS is put before it, as its build has none."""

    def prepare(self, ports: dict[str, int]) -> None:
        """Write the rules of who may come in."""
        super().prepare(ports)
        rules = "host all feedback 127.0.0.1/32 trust\nhost all all 127.0.0.1/32 scram-sha-256\n"
        (self.data / "pg_hba.conf").write_text(rules)


class SecuredMlflow(MlflowServer):
    """The server with our app over its basic-auth app."""

    app_name: ClassVar[str] = "feedback-batch-auth"

    def launch(self, ports: dict[str, int]) -> Launch:
        """Run the app; users can do nothing that was not granted to them."""
        config = self.data / "auth.ini"
        write_whole(
            config,
            "[mlflow]\ndefault_permission = NO_PERMISSIONS\n"
            f"database_uri = sqlite:///{self.data / 'auth.db'}\nadmin_username = {ADMIN}\n",
        )
        launch = super().launch(ports)
        variables = {
            "MLFLOW_AUTH_CONFIG_PATH": str(config),
            "MLFLOW_AUTH_ADMIN_PASSWORD": PASSWORD,
            "MLFLOW_FLASK_SERVER_SECRET_KEY": "key-of-one-test-run",
        }
        return replace(
            launch,
            environment=launch.environment | variables,
        )

    def check(self, address: str) -> None:
        """Ask as the admin."""
        url = f"{address}/api/2.0/mlflow/experiments/search"
        answer = httpx.post(url, json={"max_results": 1}, auth=(ADMIN, PASSWORD), timeout=5, trust_env=False)
        if answer.status_code != httpx.codes.OK:
            raise Unhealthy("mlflow", f"it answered {answer.status_code}")


class SecuredSqlite(SecuredMlflow):
    """The server with users, and a file as its database."""

    needs: ClassVar[tuple[str, ...]] = ()

    def store(self, ports: dict[str, int]) -> str:
        """Give the file."""
        return SqliteMlflow(self.home).store(ports)


@dataclass(frozen=True, slots=True)
class Secured:
    """Where the parts are, and what opens them."""

    certificates: Certificates
    kafka: str
    plain_kafka: str
    postgres: str
    postgres_tls_port: int
    mlflow: str

    def kafka_settings(self, user: str, password: str, *, cafile: Path | None = None) -> KafkaSettings:
        """Give the settings of one user."""
        return KafkaSettings.model_validate(
            {
                "bootstrap_servers": self.kafka,
                "security_protocol": "SASL_SSL",
                "sasl_username": user,
                "sasl_password": password,
                "ssl_cafile": cafile or self.certificates.authority,
                "request_timeout_ms": 5_000,
            }
        )

    def database_url(self, user: str, password: str, *, cafile: Path | None = None) -> str:
        """Give the address for one user, with the server's certificate verified."""
        place = f"{local_ports.HOST}:{self.postgres_tls_port}"
        verify = f"sslmode=verify-full&sslrootcert={cafile or self.certificates.authority}"
        return f"postgresql://{user}:{password}@{place}/{DATABASE}?{verify}"

    def query(self, statement: str) -> None:
        """Run a statement as the database's superuser."""
        with psycopg.connect(self.postgres, autocommit=True) as connection:
            connection.execute(statement.encode())


@contextmanager
def the_secured_stack(folder: Path) -> Iterator[Secured]:
    """Give the three parts, running, and end them."""
    certificates = make_certificates(folder / "certificates")
    home = Home.at(folder / "stack")
    home.make()
    kafka = SecuredKafka(home, make_cluster(home, 1), certificates)
    parts: list[Part] = [kafka, SecuredPostgres(home), SecuredMlflow(home)]
    reached = lift(parts, Silent())
    try:
        behind = local_ports.remembered(home.ports)["postgres"]
        with tls_front(behind, certificates.certificate, certificates.key) as front:
            yield Secured(
                certificates=certificates,
                kafka=kafka.clients,
                plain_kafka=reached[kafka.name],
                postgres=reached["postgres"],
                postgres_tls_port=front,
                mlflow=reached["mlflow"],
            )
    finally:
        lower(parts)
        home.purge()
