"""A pipeline that has just been set up: its tables grow a thousandfold under statements that are prepared."""

from uuid import uuid4

import psycopg
from support.samples import a_version
from support.stack import Stack, make_settings

from pipeline.adapters.postgres import apply_schema, connection, make_pool
from pipeline.adapters.postgres_feedback import PostgresFeedback
from pipeline.ports import Entry

ROWS, TIMES = 5_000, 20


async def test_what_was_planned_for_a_small_table_does_not_read_all_of_a_large_one(stack: Stack) -> None:
    settings = make_settings(stack)
    url, schema = settings.database_url.get_secret_value(), settings.database_schema
    pool = make_pool(url, schema, size=1)
    await pool.open()
    await apply_schema(pool, schema)
    store = PostgresFeedback(pool)
    one = a_version(feedback_id=uuid4())
    await store.enter([Entry(one, "tr-1")])
    for _ in range(TIMES):
        await store.known([one.feedback_id])

    await store.enter([Entry(a_version(feedback_id=uuid4()), "tr-1") for _ in range(ROWS)])
    async with connection(pool) as conn:
        await conn.execute("SELECT pg_stat_force_next_flush()")
    before = read_whole(url, schema)
    for _ in range(TIMES):
        assert await store.known([one.feedback_id]) == {one.feedback_id}
    async with connection(pool) as conn:
        await conn.execute("SELECT pg_stat_force_next_flush()")
    await pool.close()

    assert read_whole(url, schema) - before < ROWS


def read_whole(url: str, schema: str) -> int:
    """Count the rows of feedback that were read without an index."""
    with psycopg.connect(url) as session:
        (count,) = session.execute(
            "SELECT seq_tup_read FROM pg_stat_user_tables WHERE schemaname = %s AND relname = 'feedback'",
            [schema],
        ).fetchone() or (0,)
    return int(count)
