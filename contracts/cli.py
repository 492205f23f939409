"""`feedback contracts`: what a team that publishes events needs before its first record."""

import sys
from datetime import UTC, datetime
from pathlib import Path
from typing import Annotated

import typer
from rich.console import Console
from rich.markup import escape

from contracts import schema
from contracts.check import Report, check

app = typer.Typer(
    help="The events' contract: check yours against it, print its schemas.", no_args_is_help=True
)

_STDIN = "-"
_STYLES = {"error": "red", "warning": "yellow"}


@app.command("check")
def check_file(
    file: Annotated[
        str, typer.Argument(help="One event or a list (.json), one a line (.jsonl), or - for stdin.")
    ],
    *,
    as_json: Annotated[bool, typer.Option("--json", help="Print the findings as one JSON object.")] = False,
) -> None:
    """Say what is wrong with the events in FILE.

    Exits with 1 if one of them would be refused, with 2 if FILE cannot be read.
    """
    report = check(_read(file), now=datetime.now(UTC))
    if as_json:
        sys.stdout.write(report.as_json() + "\n")
    else:
        _print(report)
    raise typer.Exit(1 if report.bad else 0)


@app.command("schema")
def print_schema(
    name: Annotated[
        str, typer.Argument(help="ChatCompleted, FeedbackSubmitted, FeedbackWithdrawn, FeedbackLogged.")
    ],
) -> None:
    """Print the JSON Schema of one event."""
    known = schema.schemas()
    if name not in known:
        message = f"there is no event {name!r}; choose one of {', '.join(known)}"
        raise typer.BadParameter(message, param_hint="NAME")
    sys.stdout.write(schema.text(known[name]))


def _read(file: str) -> bytes:
    if file == _STDIN:
        return sys.stdin.buffer.read()
    try:
        return Path(file).read_bytes()
    except OSError as error:
        message = f"cannot read {file}: {error.strerror}"
        raise typer.BadParameter(message, param_hint="FILE") from None


def _print(report: Report) -> None:
    console = Console(highlight=False, soft_wrap=True)
    for found in report.findings:
        severity = f"[{_STYLES[found.severity]}]{found.severity}[/]"
        console.print(f"{escape(found.place)}: {severity}: {escape(found.field)}: {escape(found.message)}")
    console.print(f"{report.ok} ok, {report.bad} bad", style="red" if report.bad else "green")
