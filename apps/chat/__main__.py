"""`python -m apps.chat`: the chat service, and people who use it where a pause between them is set."""

import asyncio
import sys
from contextlib import suppress

from apps.chat.app import create_app
from apps.chat.run import traffic_into
from apps.chat.settings import ChatSettings
from apps.feedback_api.app import ServerError, serve
from apps.feedback_api.settings import load, load_api_settings
from consumers.event_loop import run_async
from consumers.logs import configure_logs
from consumers.settings import Settings, SettingsError, load_settings


async def main() -> None:
    """Serve until the end."""
    settings = load_settings()
    configure_logs(settings)
    chat = load(ChatSettings)
    api = load_api_settings()
    app = create_app(settings, api, chat)
    playing = asyncio.create_task(play(settings, chat.pause_seconds)) if chat.pause_seconds else None
    try:
        await serve(app, settings, api, host=chat.host, port=chat.port, variable="FEEDBACK_CHAT_PORT")
    finally:
        if playing is not None:
            playing.cancel()
            with suppress(asyncio.CancelledError):
                await playing


async def play(settings: Settings, pause: float) -> None:
    """Play one story after the other."""
    async with traffic_into(settings, seed=0) as traffic:
        while True:
            await traffic.play_one()
            await asyncio.sleep(pause)


if __name__ == "__main__":
    try:
        run_async(main())
    except (SettingsError, ServerError) as error:
        sys.exit(f"error: {error}")
