"""`feedback local …`: the stack from the command line."""

from __future__ import annotations

import json
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import asdict
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer
from rich.console import Console
from rich.table import Column, Table

from local.display import shown
from local.errors import LocalStackError

if TYPE_CHECKING:  # the commands import it: an installation without the extra `local` has `feedback` too
    from local import stack

app = typer.Typer(
    help="Real Kafka, Postgres and MLflow on this machine, from Python packages alone.",
    no_args_is_help=True,
)

_Folder = Annotated[
    Path | None,
    typer.Option(
        "--dir", help="Folder of the stack's data, logs and downloads (FEEDBACK_LOCAL_DIR, else .local)."
    ),
]
_Json = Annotated[bool, typer.Option("--json", help="Print one line of JSON on stdout.")]
_Brokers = Annotated[int, typer.Option(min=1, max=3, help="Kafka brokers: 1, or 3 that copy each other.")]
_Purge = Annotated[bool, typer.Option("--purge", help="Delete the data and logs too; downloads stay.")]


@app.command()
def up(home: _Folder = None, *, brokers: _Brokers = 1, as_json: _Json = False) -> None:
    """Start what does not run, wait until all of it answers, and print the addresses."""
    with _told(), shown() as progress:
        from local import stack  # noqa: PLC0415

        addresses = asdict(stack.up(home, progress=progress, brokers=brokers))
    if as_json:
        typer.echo(json.dumps(addresses))
        return
    for name, address in addresses.items():
        typer.echo(f"{name:<9} {address}")


@app.command()
def down(home: _Folder = None, *, purge: _Purge = False) -> None:
    """End every process of the stack; the data stays unless you say --purge."""
    with _told():
        from local import stack  # noqa: PLC0415

        ended = stack.down(home, purge=purge)
    typer.echo(f"ended: {', '.join(ended)}" if ended else "nothing was running")


@app.command()
def status(home: _Folder = None, *, as_json: _Json = False) -> None:
    """Show of each part whether it runs and answers; exit 0 only if all do."""
    with _told():
        from local import stack  # noqa: PLC0415

        parts = stack.status(home)
    if as_json:
        typer.echo(json.dumps([_plain(part) for part in parts]))
    else:
        Console().print(_table(parts))
    if any(part.state != "running" for part in parts):
        raise typer.Exit(1)


@contextmanager
def _told() -> Iterator[None]:
    """Turn the stack's errors into their text on stderr and exit code 1."""
    try:
        yield
    except LocalStackError as error:
        typer.secho(str(error), err=True, fg=typer.colors.RED)
        raise typer.Exit(1) from None
    except ModuleNotFoundError as error:
        mend = "install the extra `local`: pip install 'feedback-pipeline[local]'"
        typer.secho(f"the local stack needs the package {error.name}: {mend}", err=True, fg=typer.colors.RED)
        raise typer.Exit(1) from None


def _plain(part: stack.PartStatus) -> dict[str, Any]:
    return asdict(part) | {"log": str(part.log)}


def _table(parts: list[stack.PartStatus]) -> Table:
    whole = [Column(name, overflow="fold") for name in ("address", "log")]
    table = Table("part", "state", "pid", "up", *whole, box=None, pad_edge=False)
    for part in parts:
        state = {"running": "green", "unhealthy": "yellow", "stopped": "dim"}[part.state]
        table.add_row(
            part.name,
            f"[{state}]{part.state}[/]",
            str(part.pid or ""),
            "" if part.uptime_seconds is None else _span(part.uptime_seconds),
            part.address or "",
            str(part.log),
        )
    return table


def _span(seconds: float) -> str:
    minutes, rest = divmod(int(seconds), 60)
    hours, minutes = divmod(minutes, 60)
    return f"{hours} h {minutes} min" if hours else f"{minutes} min {rest} s" if minutes else f"{rest} s"
