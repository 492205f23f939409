"""What a consumer process answers over HTTP, with nothing of it started."""

from collections.abc import AsyncIterator
from typing import Any

import httpx
import pytest
from prometheus_client.parser import text_string_to_metric_families

from consumers.app import _app, _or_fail, _watchdog
from consumers.bootstrap import Runtime, build
from consumers.driver import Driver
from consumers.settings import Settings
from consumers.watchdog import Watchdog


@pytest.fixture
async def runtime() -> AsyncIterator[Runtime]:
    runtime = build(Settings(), ("chats", "feedback"), fail=lambda _: None)
    yield runtime
    await runtime.close()


@pytest.fixture
def watchdog(runtime: Runtime) -> Watchdog:
    return _watchdog(runtime, lambda _: None)


@pytest.fixture
async def http(runtime: Runtime, watchdog: Watchdog) -> AsyncIterator[httpx.AsyncClient]:
    transport = httpx.ASGITransport(_app(runtime, watchdog))
    async with httpx.AsyncClient(transport=transport, base_url="http://consumer") as client:
        yield client


async def answer(http: httpx.AsyncClient, path: str) -> tuple[int, Any]:
    response = await http.get(path)
    assert response.headers["content-type"] == "application/json"
    return response.status_code, response.json()


async def test_a_process_that_works_is_healthy(http: httpx.AsyncClient) -> None:
    assert await answer(http, "/healthz") == (200, {"ended": [], "stalled": []})


async def test_a_consumer_that_ended_is_unhealthy(http: httpx.AsyncClient, runtime: Runtime) -> None:
    driver, *_ = [item for item in runtime.drivers if isinstance(item, Driver) and item.name == "feedback"]
    driver.ended = True
    assert await answer(http, "/healthz") == (500, {"ended": ["feedback"], "stalled": []})


async def test_a_consumer_that_stands_still_is_unhealthy(http: httpx.AsyncClient, watchdog: Watchdog) -> None:
    watchdog.stalled.append("feedback: getmany")
    assert await answer(http, "/healthz") == (500, {"ended": [], "stalled": ["feedback: getmany"]})


async def test_what_is_away_makes_a_process_unready_and_not_unhealthy(
    http: httpx.AsyncClient, runtime: Runtime
) -> None:
    assert await answer(http, "/readyz") == (503, {"ready": False, "away": {}})
    runtime.broker.started = True
    assert await answer(http, "/readyz") == (200, {"ready": True, "away": {}})
    runtime.patience.missed("mlflow", "it does not answer")
    assert await answer(http, "/readyz") == (
        503,
        {"ready": False, "away": {"mlflow": "it does not answer"}},
    )
    assert (await answer(http, "/healthz"))[0] == 200
    runtime.patience.back("mlflow")
    assert (await answer(http, "/readyz"))[0] == 200


async def test_metrics_are_in_prometheus_form(http: httpx.AsyncClient, runtime: Runtime) -> None:
    runtime.patience.missed("mlflow", "it does not answer")
    response = await http.get("/metrics")
    assert response.status_code == 200
    samples = [
        sample for family in text_string_to_metric_families(response.text) for sample in family.samples
    ]
    away = {s.labels["dependency"]: s.value for s in samples if s.name == "feedback_dependency_away"}
    assert away == {"kafka": 0, "mlflow": 1, "postgres": 0}


async def test_nothing_is_watched_before_it_runs(runtime: Runtime) -> None:
    assert runtime.broker.loops() == []


async def test_a_watchdog_that_falls_over_ends_the_process() -> None:
    failures: list[BaseException] = []
    error = KeyError()

    async def fall_over() -> None:
        raise error

    await _or_fail(fall_over(), failures.append)
    assert failures == [error]
