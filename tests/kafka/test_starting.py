"""Starting a consumer when something is not as it should be, and ending it before it ever worked."""

import socket

from support.consumers import Consumers
from support.waiting import wait_until

NOWHERE = "postgresql://feedback@127.0.0.1:1/feedback"


async def test_missing_topics_are_waited_for_and_named(consumers: Consumers) -> None:
    running = await consumers.start(ready=False, FEEDBACK_TOPIC_PREFIX="nowhere-")
    await wait_until(
        lambda: running.answers("/readyz", 503, "nowhere-feedback-submitted", "feedback topics create"),
        seconds=30,
        what="readiness names the topic",
    )
    assert running.answers("/healthz", 200)
    assert running.terminate() == 0


async def test_a_database_that_is_away_is_waited_for(consumers: Consumers) -> None:
    running = await consumers.start(ready=False, FEEDBACK_DATABASE_URL=NOWHERE)
    await wait_until(lambda: running.answers("/readyz", 503, "postgres"), seconds=30, what="it is named")
    assert running.terminate() == 0


async def test_a_port_in_use_is_named(consumers: Consumers) -> None:
    with socket.create_server(("127.0.0.1", 0)) as taken:
        port = taken.getsockname()[1]
        running = await consumers.start("chats", ready=False, FEEDBACK_HTTP_PORT=str(port))
        await wait_until(lambda: running.process.poll() is not None, seconds=30, what="it has ended")
    assert running.process.returncode == 1
    assert "FEEDBACK_HTTP_PORT" in running.log.read_text()
