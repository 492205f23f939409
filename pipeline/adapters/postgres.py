"""Postgres: the pool, its errors as the pipeline knows them, and the schema."""

from collections.abc import AsyncIterator, Iterator
from contextlib import asynccontextmanager, contextmanager
from importlib.resources import files
from typing import Any, Final

import psycopg
from psycopg import AsyncConnection, sql
from psycopg.rows import TupleRow
from psycopg_pool import AsyncConnectionPool, PoolTimeout

from pipeline.outcomes import DependencyAwayError

Pool = AsyncConnectionPool[AsyncConnection[TupleRow]]

CONNECT_SECONDS: Final = 5
STATEMENT_MS: Final = 30_000
_SCHEMA_LOCK: Final = 0x6665656462616B  # any number that nobody else uses for an advisory lock


# ReadOnlySqlTransaction: what was the primary is a standby since a fail-over.
_AWAY: Final = (psycopg.OperationalError, psycopg.InterfaceError, psycopg.errors.ReadOnlySqlTransaction)


@contextmanager
def postgres_errors() -> Iterator[None]:
    """Turn what means that Postgres is away into `DependencyAwayError`; other errors are ours and pass."""
    try:
        yield
    except (*_AWAY, PoolTimeout, OSError) as error:
        # The text may hold what was sent; the class and the code say enough.
        code = getattr(error, "sqlstate", None)
        raise DependencyAwayError("postgres", f"{type(error).__name__} {code or ''}".strip()) from error


def make_pool(url: str, schema: str, *, size: int) -> Pool:
    """Make a pool, still closed, whose connections work in one schema and commit each statement."""
    options = f"-c search_path={schema} -c statement_timeout={STATEMENT_MS}"
    kwargs: dict[str, Any] = {
        "autocommit": True,
        "connect_timeout": CONNECT_SECONDS,
        "options": options,
        "application_name": "feedback-pipeline",
    }
    return AsyncConnectionPool(
        url, min_size=1, max_size=size, open=False, timeout=CONNECT_SECONDS, kwargs=kwargs, name="feedback"
    )


@asynccontextmanager
async def connection(pool: Pool) -> AsyncIterator[AsyncConnection[TupleRow]]:
    """Lend a connection.

    Raises:
        DependencyAwayError: when Postgres is away.

    """
    with postgres_errors():
        async with pool.connection() as conn:
            try:
                yield conn
            except psycopg.errors.ReadOnlySqlTransaction:
                # The pool would keep it for ever; a new one may find the new primary.
                await conn.close()
                raise


async def apply_schema(pool: Pool, schema: str) -> None:
    """Create what is missing of the schema; safe while others do the same.

    Raises:
        DependencyAwayError: when Postgres is away.

    """
    text = files("pipeline.adapters").joinpath("schema.sql").read_text(encoding="utf-8")
    async with connection(pool) as conn, conn.transaction():
        await conn.execute("SELECT pg_advisory_xact_lock(%s)", [_SCHEMA_LOCK])
        await conn.execute(sql.SQL("CREATE SCHEMA IF NOT EXISTS {}").format(sql.Identifier(schema)))
        await conn.execute(text.encode())
