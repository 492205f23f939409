"""The command ``feedback``."""

import asyncio
import json
import signal
import sys
from collections.abc import Callable, Coroutine, Iterator
from contextlib import contextmanager
from dataclasses import asdict
from enum import StrEnum
from typing import Annotated, Any, NoReturn, TypeVar, cast
from uuid import UUID

import typer
from aiokafka.errors import KafkaError
from pydantic_core import to_json
from rich.console import Console
from rich.table import Table

from consumers.settings import Settings, SettingsError, load_settings
from contracts.cli import app as contracts_app
from contracts.kafka_refusals import explain
from local.cli import app as local_app
from local.errors import LocalStackError
from ops.errors import DemoError, TopicError, WorkersError
from ops.topics import create_topics, describe_topics
from pipeline.outcomes import DependencyAwayError

T = TypeVar("T")

app = typer.Typer(
    name="feedback",
    help="""User feedback at volume: from Kafka events to MLflow assessments, each exactly once.

    Start with `feedback demo`. Settings come from variables FEEDBACK_…; docs/operations.md lists them.
    """,
    no_args_is_help=True,
    pretty_exceptions_show_locals=False,
)
topics_app = typer.Typer(
    help="The Kafka topics: create what is missing, see what is there.", no_args_is_help=True
)
app.add_typer(topics_app, name="topics")
app.add_typer(contracts_app, name="contracts")
app.add_typer(local_app, name="local")

_Json = Annotated[bool, typer.Option("--json", help="Print JSON on standard output.")]


_VARIABLES = {
    "kafka": "FEEDBACK_KAFKA_BOOTSTRAP_SERVERS",
    "postgres": "FEEDBACK_DATABASE_URL",
    "mlflow": "MLFLOW_TRACKING_URI",
}


class RunName(StrEnum):
    """What `feedback run` can run."""

    CHATS = "chats"
    FEEDBACK = "feedback"
    RETRIES = "retries"
    ALL = "all"
    INGEST = "ingest"


@app.command()
def run(
    name: Annotated[
        RunName,
        typer.Argument(
            help="chats: the join index; feedback: into MLflow; retries: what is parked; "
            "all: these in one process; ingest: the HTTP door for feedback."
        ),
    ],
    *,
    workers: Annotated[
        int, typer.Option(min=1, max=64, help="Processes on this machine; each has its own HTTP port.")
    ] = 1,
    ends_with_stdin: Annotated[bool, typer.Option("--end-with-stdin", hidden=True)] = False,
) -> None:
    """Run consumers until SIGTERM; start more processes, here or elsewhere, to share the partitions."""
    # Heard from now on, before the imports that take a second, as a clean end.
    signal.signal(signal.SIGTERM, lambda _number, _frame: sys.exit(0))
    if workers > 1:
        _run_workers(name, workers)
        return
    with told():
        from consumers.app import ConsumerEndedError, serve  # noqa: PLC0415 - MLflow's client takes a second to import
        from consumers.bootstrap import ALL, ConsumerName  # noqa: PLC0415
        from consumers.event_loop import run_async  # noqa: PLC0415
        from consumers.logs import configure_logs  # noqa: PLC0415

        settings = load_settings()
        configure_logs(settings)
        if ends_with_stdin:
            from ops.workers import end_with_stdin  # noqa: PLC0415

            end_with_stdin(settings)
        if name is RunName.INGEST:
            _run_ingest(settings)
            return
        names = ALL if name is RunName.ALL else cast("tuple[ConsumerName, ...]", (name.value,))
        try:
            run_async(serve(settings, names))
        except ConsumerEndedError as error:
            _fail(str(error))


def _run_ingest(settings: Settings) -> None:
    with _needed("api"):
        from apps.feedback_api.app import ServerError, create_app, serve  # noqa: PLC0415 - an extra
        from apps.feedback_api.settings import load_api_settings  # noqa: PLC0415
    from consumers.event_loop import run_async  # noqa: PLC0415

    api = load_api_settings()
    app = create_app(settings, api)
    try:
        host, port = settings.http_host, settings.http_port
        run_async(serve(app, settings, api, host=host, port=port, variable="FEEDBACK_HTTP_PORT"))
    except ServerError as error:
        _fail(str(error))


@contextmanager
def _needed(extra: str) -> Iterator[None]:
    try:
        yield
    except ModuleNotFoundError as error:
        _fail(f"this command needs the package {error.name}: pip install 'feedback-pipeline[{extra}]'")


def _run_workers(name: RunName, count: int) -> None:
    with told():
        from consumers.logs import configure_logs  # noqa: PLC0415 - not needed for --help
        from ops.workers import run_workers  # noqa: PLC0415

        settings = load_settings()
        configure_logs(settings)
        if not asyncio.run(run_workers(name.value, settings, count)):
            _fail("a worker ended by an error; the log says which, and why")


@app.command()
def demo(
    *,
    events: Annotated[
        int, typer.Option(min=1, max=100_000, help="How many feedback records to publish.")
    ] = 200,
    leave: Annotated[bool, typer.Option("--exit", help="End once all is settled.")] = False,
    as_json: _Json = False,
    seed: Annotated[int, typer.Option(help="The same seed gives the same stories.")] = 7,
) -> None:
    """Show all of it: the local stack, the consumers, a chat service and its users, and the ledger.

    Exit status 0 only if all is settled and MLflow, asked directly, holds exactly what the ledger says.
    """
    with told():
        from ops.demo_command import run_demo  # noqa: PLC0415 - it imports all of it

        is_right = run_demo(events=events, seed=seed, leave=leave, as_json=as_json)
    raise typer.Exit(0 if is_right else 1)


@topics_app.command()
def create() -> None:
    """Create the topics that are missing; existing ones stay as they are."""
    created = _ask(create_topics)
    typer.echo(f"created: {', '.join(created)}" if created else "all topics exist already")


@topics_app.command()
def describe(*, as_json: _Json = False) -> None:
    """Show the topics, their partitions, replication and retention."""
    states = _ask(describe_topics)
    if as_json:
        typer.echo(json.dumps([asdict(state) for state in states]))
        return
    table = Table("topic", "holds", "partitions", "replication", "configuration")
    for state in states:
        config = ", ".join(f"{key}={value}" for key, value in state.config.items())
        missing = "" if state.partitions else "[red]missing: feedback topics create"
        table.add_row(
            state.name, state.purpose, str(state.partitions), str(state.replication), missing or config
        )
    Console().print(table)


@app.command()
def status(
    event_id: Annotated[str, typer.Argument(help="An event's event_id, or a feedback's id.")],
    *,
    as_json: _Json = False,
) -> None:
    """Show what became of an event: one line for each assessment that it carries."""
    with told():
        given = _uuid(event_id)
        found = asyncio.run(_status(load_settings(), given))
        if as_json:
            typer.echo(to_json([asdict(item) for item in found]).decode())
        else:
            _print_status(found)
        if not found:
            message = (
                f"{given} is not the newest event of any feedback: it has not been read yet, was superseded "
                "(its receipt in feedback-logged tells), or broke the contract (look in feedback-dead-letter)"
            )
            _fail(message)


async def _status(settings: Settings, given: UUID) -> list[Any]:
    from ops.status import status_of  # noqa: PLC0415 - psycopg is not needed for --help
    from pipeline.adapters.postgres import make_pool  # noqa: PLC0415

    pool = make_pool(settings.database_url.get_secret_value(), settings.database_schema, size=1)
    try:
        await pool.open()
        return list(await status_of(pool, given))
    finally:
        await pool.close()


def _print_status(found: list[Any]) -> None:
    table = Table("assessment", "kind", "state", "trace", "settled", "why")
    for item in found:
        why = f"{item.dead_reason}: {item.dead_detail}" if item.dead_reason else ""
        table.add_row(item.name, item.kind, item.state, item.trace_id or "", str(item.settled_at or ""), why)
    if found:
        Console().print(table)


def _uuid(text: str) -> UUID:
    try:
        return UUID(text)
    except ValueError:
        _fail(f"{text!r} is not a UUID; give the event_id of an event, or a feedback's id")


def _ask(question: Callable[[Settings], Coroutine[Any, Any, T]]) -> T:
    with told():
        return asyncio.run(question(load_settings()))


@contextmanager
def told() -> Iterator[None]:
    """Turn the errors that a person can mend into one line and exit status 1."""
    try:
        yield
    except SettingsError as error:
        _fail(f"settings: {error}")
    except (TopicError, DemoError, WorkersError, LocalStackError) as error:
        _fail(str(error))
    except ModuleNotFoundError as error:
        _fail(f"this command needs the package {error.name}: pip install 'feedback-pipeline[local]'")
    except KafkaError as error:
        _fail(asyncio.run(explain(error, load_settings().kafka, "Read")))
    except DependencyAwayError as error:
        _fail(f"{error}; check {_VARIABLES[error.dependency]}")
    except KeyboardInterrupt:
        raise typer.Exit(130) from None


def _fail(message: str) -> NoReturn:
    Console(stderr=True).print(f"[red]error[/red]: {message}", highlight=False)
    raise typer.Exit(1)


def main() -> None:
    """Run the command."""
    app()


if __name__ == "__main__":
    sys.exit(app())
