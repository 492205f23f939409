"""Postgres: the pool, its errors as the pipeline knows them, and the schema."""

import hashlib
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
_KEEPALIVE_SECONDS: Final = 10
_SCHEMA_LOCK: Final = 0x6665656462616B  # any number that nobody else uses for an advisory lock


# ReadOnlySqlTransaction: what was the primary is a standby since a fail-over.
_AWAY: Final = (psycopg.OperationalError, psycopg.InterfaceError, psycopg.errors.ReadOnlySqlTransaction)


@contextmanager
def postgres_errors() -> Iterator[None]:
    """Turn what means that Postgres is away into `DependencyAwayError`; other errors are ours and pass."""
    try:
        yield
    except psycopg.errors.InsufficientPrivilege as error:
        # Its text names what is refused, and nothing that was sent.
        detail = f"{error.diag.message_primary}; docs/security.md has the rights that are needed"
        raise DependencyAwayError("postgres", detail) from error
    except (*_AWAY, PoolTimeout, OSError) as error:
        # The text may hold what was sent; the class and the code say enough.
        code = getattr(error, "sqlstate", None)
        raise DependencyAwayError("postgres", f"{type(error).__name__} {code or ''}".strip()) from error


def make_pool(url: str, schema: str, *, size: int) -> Pool:
    """Make a pool, still closed, whose connections work in one schema and commit each statement."""
    # A plan that was kept when a table was small reads the whole table for each batch once it has grown.
    options = (
        f"-c search_path={schema} -c statement_timeout={STATEMENT_MS} -c plan_cache_mode=force_custom_plan"
    )
    kwargs: dict[str, Any] = {
        "autocommit": True,
        "connect_timeout": CONNECT_SECONDS,
        "options": options,
        "application_name": "feedback-pipeline",
        # A host that vanishes without a word is noticed by TCP alone, which takes a quarter of an hour.
        "keepalives_idle": _KEEPALIVE_SECONDS,
        "keepalives_interval": _KEEPALIVE_SECONDS,
        "keepalives_count": 3,
        "tcp_user_timeout": 3 * _KEEPALIVE_SECONDS * 1000,
    }
    return AsyncConnectionPool(
        url,
        min_size=1,
        max_size=size,
        open=False,
        timeout=CONNECT_SECONDS,
        # The pause between its attempts doubles until it gives up, and who asks next begins anew: given up
        # before whoever waits does, so that no pause outlasts an outage by minutes.
        reconnect_timeout=CONNECT_SECONDS - 1,
        kwargs=kwargs,
        name="feedback",
    )


@asynccontextmanager
async def connection(pool: Pool) -> AsyncIterator[AsyncConnection[TupleRow]]:
    """Lend a connection.

    Raises:
        DependencyAwayError: when Postgres is away.

    """
    with postgres_errors():
        try:
            async with pool.connection() as conn:
                try:
                    yield conn
                except psycopg.errors.ReadOnlySqlTransaction:
                    # The pool would keep it for ever; a new one may find the new primary.
                    await conn.close()
                    raise
        except PoolTimeout as error:
            raise DependencyAwayError("postgres", await why_no_connection(pool)) from error


async def why_no_connection(pool: Pool) -> str:
    """Say why a pool has no connection to lend, by asking Postgres for one; the pool only tells its log."""
    try:
        conn = await AsyncConnection.connect(str(pool.conninfo), **_options(pool))
    except (psycopg.OperationalError, OSError) as error:
        # Nothing has been sent yet, and libpq's texts on connecting hold no password.
        said = str(error).splitlines()[0].split(" failed: ")[-1]
        return f"{said}; check FEEDBACK_DATABASE_URL"
    await conn.close()
    return "no free connection; FEEDBACK_DATABASE_POOL_SIZE may be too small"


def _options(pool: Pool) -> dict[str, Any]:
    return pool.kwargs if isinstance(pool.kwargs, dict) else {}


async def apply_schema(pool: Pool, schema: str) -> None:
    """Create what is missing of the schema; safe while others do the same.

    What is there already is told by the table's comment: also a statement that has nothing to do takes locks,
    behind which all consumers would wait for a backup to end.

    Raises:
        DependencyAwayError: when Postgres is away.

    """
    text = files("pipeline.adapters").joinpath("schema.sql").read_text(encoding="utf-8")
    mark = f"feedback-pipeline, schema {hashlib.sha256(text.encode()).hexdigest()[:16]}"
    async with connection(pool) as conn:
        found = await conn.execute("SELECT obj_description(to_regclass('feedback'), 'pg_class')")
        if await found.fetchone() == (mark,):
            return
    async with connection(pool) as conn, conn.transaction():
        await conn.execute("SELECT pg_advisory_xact_lock(%s)", [_SCHEMA_LOCK])
        await conn.execute(sql.SQL("CREATE SCHEMA IF NOT EXISTS {}").format(sql.Identifier(schema)))
        await conn.execute(text.encode())
        await conn.execute(sql.SQL("COMMENT ON TABLE feedback IS {}").format(sql.Literal(mark)))
