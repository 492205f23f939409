"""`python -m apps.chat`: the sample service as a process, with people who use it, until it is ended."""

import asyncio
import os
import signal

import mlflow

from apps.chat.run import traffic_into
from consumers.logs import configure_logs
from consumers.settings import load_settings

PAUSE_SECONDS = float(os.environ.get("FEEDBACK_CHAT_PAUSE_SECONDS", "1"))


async def main() -> None:
    """Play one story after the other."""
    settings = load_settings()
    configure_logs(settings)
    mlflow.set_tracking_uri(settings.mlflow_tracking_uri)
    ended = asyncio.Event()
    for number in (signal.SIGTERM, signal.SIGINT):
        asyncio.get_running_loop().add_signal_handler(number, ended.set)
    async with traffic_into(settings, seed=0) as traffic:
        while not ended.is_set():
            await traffic.play_one()
            try:
                async with asyncio.timeout(PAUSE_SECONDS):
                    await ended.wait()
            except TimeoutError:
                continue


asyncio.run(main())
