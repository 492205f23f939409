"""What Insights sums up from the tables, in Postgres."""

import asyncio
from collections.abc import AsyncIterator
from datetime import UTC, datetime, timedelta
from typing import Any

import pytest
from support.samples import a_chat, a_version, new_id
from support.stack import Stack, make_settings
from support.waiting import wait_until

from apps.chat.insights import Insights
from pipeline.adapters.postgres import Pool, apply_schema, make_pool
from pipeline.adapters.postgres_chats import PostgresChats
from pipeline.adapters.postgres_feedback import PostgresFeedback
from pipeline.ports import Entry

MINUTES = 5


@pytest.fixture
async def pool(stack: Stack) -> AsyncIterator[Pool]:
    """A pool into tables of the test's own: Insights counts all that is there."""
    settings = make_settings(stack)
    pool = make_pool(settings.database_url.get_secret_value(), settings.database_schema, size=2)
    await pool.open()
    await apply_schema(pool, settings.database_schema)
    yield pool
    await pool.close()


async def say(pool: Pool, value: object, *, minutes: float = 0.5, **given: Any) -> None:
    """Log a feedback as the pipeline does; of a chat of this version and region, if they are given."""
    request, trace = new_id(), new_id("tr")
    chat = a_chat(request, trace, app_version=given.pop("version", "1"), region=given.pop("region", "eu"))
    await PostgresChats(pool).upsert([chat])
    at = datetime.now(UTC) - timedelta(minutes=minutes)
    fields = {"submitted_at": at, "client_request_id": request, "name": "user_feedback"} | given
    await PostgresFeedback(pool).enter([Entry(a_version(value=value, **fields), trace)])


async def summary(pool: Pool) -> dict[str, Any]:
    return await Insights(pool, "http://m/{trace_id}").of(MINUTES)


@pytest.mark.parametrize(
    ("value", "given", "judged"),
    [
        (True, {"name": "helpful"}, (1, 0)),
        (False, {"name": "response_is_correct"}, (0, 1)),
        (0.6, {"name": "user_accuracy"}, (1, 0)),
        (0.4, {"name": "user_accuracy"}, (0, 1)),
        (5, {"name": "user_stars"}, (1, 0)),
        (5, {"name": "seconds_saved"}, (0, 0)),
        ("good", {}, (0, 0)),
        ({"positive": True}, {}, (0, 0)),
        (False, {"source_type": "LLM_JUDGE"}, (0, 0)),
        (False, {"source_type": "CODE"}, (0, 0)),
    ],
)
async def test_what_is_praise(
    pool: Pool, value: object, given: dict[str, Any], judged: tuple[int, int]
) -> None:
    await say(pool, value, **given)
    found = await summary(pool)
    assert (found["total"], found["positive"], found["negative"]) == (1, *judged)


async def test_a_summary(pool: Pool) -> None:
    await say(pool, value=True, minutes=0.5)
    await say(pool, value=False, minutes=3.5, rationale="no", version="2", region=None)
    await say(pool, value=False, minutes=3.6, rationale="never", version=None, region=None)
    await say(pool, "other", minutes=4.5, version="3")
    await say(pool, value=True, minutes=MINUTES + 1)
    found = await summary(pool)
    assert (found["total"], found["positive"], found["negative"], found["rate"]) == (4, 1, 2, 0.3333)
    over_time = [(one["positive"], one["negative"]) for one in found["over_time"]]
    assert over_time == [(0, 0), (0, 2), (0, 0), (0, 0), (1, 0)]
    start = datetime.fromisoformat(found["now"]) - timedelta(minutes=MINUTES)
    assert datetime.fromisoformat(found["over_time"][0]["at"]) == start
    assert found["by_version"] == [
        {"key": "1", "positive": 1, "negative": 0},
        {"key": "2", "positive": 0, "negative": 1},
    ]
    assert found["by_region"] == [{"key": "eu", "positive": 1, "negative": 0}]
    complaint, older = found["comments"]
    assert (complaint["comment"], complaint["value"], older["comment"]) == ("no", False, "never")
    assert complaint["mlflow_url"] == f"http://m/{complaint['trace_id']}"
    assert found["newest_only"] is None


async def test_nothing_has_no_rate_and_at_most_sixty_buckets(pool: Pool) -> None:
    found = await Insights(pool, None).of(1440)
    assert (found["total"], found["rate"], found["comments"]) == (0, None, [])
    assert len(found["over_time"]) == 60


async def test_of_very_many_the_newest_are_summed_up_and_it_is_said(pool: Pool) -> None:
    for minutes in (1, 2, 3):
        await say(pool, value=minutes == 1, minutes=minutes)
    found = await Insights(pool, None, most=2).of(MINUTES)
    assert (found["positive"], found["negative"], found["newest_only"]) == (1, 1, 2)


async def test_who_asks_is_not_answered_from_before_they_asked(pool: Pool) -> None:
    insights, go_on = Insights(pool, None), asyncio.Event()
    read, readings = insights._rows, 0

    async def slowly(**given: Any) -> Any:
        nonlocal readings
        rows = await read(**given)
        readings += 1
        await go_on.wait()
        return rows

    insights._rows = slowly  # type: ignore[method-assign]  # Postgres' answer is held back
    first = asyncio.create_task(insights.of(MINUTES))
    await wait_until(lambda: readings == 1, seconds=5, what="the first has read")
    await say(pool, value=True)
    others = [asyncio.create_task(insights.of(MINUTES)) for _ in range(3)]
    await asyncio.sleep(0)  # they ask now
    go_on.set()
    assert (await first)["total"] == 0
    assert [found["total"] for found in await asyncio.gather(*others)] == [1, 1, 1]
    assert readings == 2
