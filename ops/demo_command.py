"""What `feedback demo` prints, and how long it stays."""

import asyncio
import signal

from pydantic_core import to_json
from rich.console import Console
from rich.progress import Progress as Bars
from rich.table import Table

from consumers.settings import to_environment
from local.stack import Addresses
from ops.demo import Told, demo_settings, play, running_chat, running_consumers, running_stack
from ops.topics import create_topics

_SHOWN = ("KAFKA_BOOTSTRAP_SERVERS", "DATABASE_URL", "TRACKING_URI", "EXPERIMENTS")


def run_demo(*, events: int, seed: int, leave: bool, as_json: bool) -> bool:
    """Run the demo; gives whether MLflow agrees with the ledger."""
    with running_stack() as addresses:
        return asyncio.run(_demo(addresses, events=events, seed=seed, leave=leave, as_json=as_json))


async def _demo(addresses: Addresses, *, events: int, seed: int, leave: bool, as_json: bool) -> bool:
    settings = demo_settings(addresses)
    await create_topics(settings)
    ended = asyncio.Event()
    for number in (signal.SIGTERM, signal.SIGINT):
        asyncio.get_running_loop().add_signal_handler(number, ended.set)
    async with running_consumers(settings):
        with Bars(console=Console(stderr=True), transient=True) as bars:
            playing = asyncio.ensure_future(play(settings, events, seed, bars))
            await asyncio.wait(
                [playing, asyncio.ensure_future(ended.wait())], return_when=asyncio.FIRST_COMPLETED
            )
            if not playing.done():
                playing.cancel()
                raise KeyboardInterrupt
        told = await playing
        _show(told, as_json=as_json)
        if not leave:
            async with running_chat(settings) as address:
                _invite(told, address)
                await ended.wait()
    return told.ledger.is_right


def _show(told: Told, *, as_json: bool) -> None:
    ledger = told.ledger
    if as_json:
        print(to_json(ledger.as_dict()).decode(), flush=True)  # noqa: T201 - the one line that was asked for
        return
    table = Table("", "assessments", "what they are", title=f"{ledger.records} records, {ledger.seconds} s")
    table.add_row(
        "published", str(ledger.published), "acknowledged by Kafka; an event sent twice counts once"
    )
    table.add_row("logged", str(ledger.logged), "in MLflow, or changed by a newer version since")
    table.add_row("superseded", str(ledger.superseded), "older than what stands")
    table.add_row("withdrawn", str(ledger.withdrawn), "taken back")
    table.add_row(
        "dead", str(ledger.dead), "broke the contract, or their chat never came: feedback-dead-letter"
    )
    table.add_row("lag", str(ledger.lag), "not settled yet")
    console = Console()
    console.print(table)
    if ledger.is_right:
        console.print("[green]MLflow, asked directly, holds exactly these assessments.")
    for line in ledger.differences:
        console.print(f"[red]{line}")


def _invite(told: Told, address: str) -> None:
    settings = told.settings
    console = Console()
    console.print(f"\n[bold]Ask something and rate the answer: {address}[/bold]")
    console.print(f"What came in: {address}/insights")
    console.print(
        "[yellow]Feedback is taken there from anybody who reaches it: it listens on this machine alone, "
        "and is no way to run it elsewhere (FEEDBACK_API_OPEN).[/yellow]"
    )
    console.print(f"\nLook at it: {settings.mlflow_tracking_uri}/#/experiments/{told.experiment_id}/traces\n")
    console.print("For the other commands, in another shell:")
    for name, value in to_environment(settings).items():
        if name.endswith(_SHOWN):
            console.print(f"  export {name}={value}", soft_wrap=True, highlight=False)
    console.print("\nCtrl-C ends it.")
