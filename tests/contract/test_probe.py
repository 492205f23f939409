"""Whether a real MLflow writes at all: asked without leaving anything behind."""

from uuid import uuid4

import httpx
import pytest
from support.shelf import TraceMaker

from consumers.settings import Settings
from pipeline.adapters.mlflow_client import can_write


@pytest.mark.usefixtures("threads")  # they set the client up
def test_a_healthy_server_writes_and_nothing_is_left(world: Settings, trace_maker: TraceMaker) -> None:
    trace_id = trace_maker()
    url = f"{world.mlflow_tracking_uri}/api/3.0/mlflow/traces/{trace_id}"
    before = httpx.get(url).raise_for_status().json()["trace"]["trace_info"]
    assert can_write(trace_id)
    assert can_write(trace_id)
    assert httpx.get(url).raise_for_status().json()["trace"]["trace_info"] == before


@pytest.mark.usefixtures("world", "threads")
def test_nothing_is_written_to_a_trace_that_is_not_there() -> None:
    assert not can_write(f"tr-{uuid4().hex}")
