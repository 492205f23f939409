from collections.abc import Mapping
from dataclasses import dataclass, field
from datetime import UTC, datetime, timedelta

import mlflow
import pytest
from support.samples import a_chat, new_id
from support.shelf import TraceMaker
from support.stack import Stack, make_experiment

from consumers.settings import Settings
from contracts.events import Segment
from local.ports import free_port
from pipeline.adapters.mlflow_batch import MlflowBatchSink
from pipeline.adapters.mlflow_batch_traces import MlflowBatchTraces
from pipeline.adapters.mlflow_client import MlflowThreads
from pipeline.adapters.mlflow_rest import MlflowRestSink
from pipeline.adapters.mlflow_traces import MlflowTraces
from pipeline.memory import MemoryTraces
from pipeline.outcomes import DependencyAwayError
from pipeline.ports import Traces


@dataclass
class MemoryLibrary:
    """The twin and what it knows."""

    traces: MemoryTraces = field(default_factory=MemoryTraces)

    def write(self, request_ids: list[str], metadata: Mapping[str, str] | None = None) -> dict[str, str]:
        said = metadata or {}
        segment = {
            "session_id": said.get("mlflow.trace.session"),
            "user_id": said.get("mlflow.trace.user"),
            "environment": said.get("environment"),
        }
        for request_id in request_ids:
            self.traces.traces[request_id] = a_chat(
                request_id, new_id("tr"), completed_at=datetime.now(UTC), **segment
            )
        return {key: self.traces.traces[key].trace_id or "" for key in request_ids}


@dataclass
class RealLibrary:
    """MLflow and what an application writes there."""

    traces: Traces
    maker: TraceMaker

    def write(self, request_ids: list[str], metadata: dict[str, str] | None = None) -> dict[str, str]:
        written = {key: self.maker.begin(key, metadata=metadata) for key in request_ids}
        mlflow.flush_trace_async_logging()
        return written


Library = MemoryLibrary | RealLibrary


@pytest.fixture
def real(world: Settings, threads: MlflowThreads, trace_maker: TraceMaker) -> RealLibrary:
    return RealLibrary(MlflowTraces(world.mlflow_experiments, threads), trace_maker)


@pytest.fixture
def bulk(world: Settings, threads: MlflowThreads, trace_maker: TraceMaker) -> RealLibrary:
    sink = MlflowBatchSink(MlflowRestSink(threads), threads)
    traces = MlflowTraces(world.mlflow_experiments, threads)
    return RealLibrary(MlflowBatchTraces(traces, sink, threads), trace_maker)


@pytest.fixture(params=["memory", "real", "bulk"])
def library(request: pytest.FixtureRequest) -> Library:
    if request.param == "memory":
        return MemoryLibrary()
    return request.getfixturevalue(request.param)  # type: ignore[no-any-return]


async def found_by(traces: Traces, *request_ids: str, since: datetime | None = None) -> dict[str, str | None]:
    found = await traces.search(request_ids, since=since)
    return {key: chat.trace_id for key, chat in found.items()}


async def test_a_trace_is_found_by_its_request(library: Library) -> None:
    one, two = new_id(), new_id()
    written = library.write([one, two])
    assert await found_by(library.traces, one) == {one: written[one]}
    assert await found_by(library.traces, one, two, new_id()) == written


async def test_no_ids_and_unknown_ids_find_nothing(library: Library) -> None:
    assert await found_by(library.traces) == {}
    assert await found_by(library.traces, new_id(), new_id()) == {}


async def test_a_search_goes_back_as_far_as_it_is_told(library: Library) -> None:
    key = new_id()
    before = datetime.now(UTC) - timedelta(minutes=1)
    written = library.write([key])
    assert await found_by(library.traces, key, since=before) == written
    assert await found_by(library.traces, key, since=datetime.now(UTC) + timedelta(minutes=1)) == {}
    assert await found_by(library.traces, key, since=None) == written


async def test_the_segment_is_read_from_the_trace(library: Library) -> None:
    key = new_id()
    said = {"mlflow.trace.session": "s-1", "mlflow.trace.user": "u-1 'ü'", "environment": "staging"}
    library.write([key], said)
    found = (await library.traces.search([key], since=None))[key]
    assert found.segment == Segment(session_id="s-1", user_id="u-1 'ü'", environment="staging")
    assert found.client_request_id == key


async def test_ids_with_every_letter_of_the_contract_are_found(library: Library) -> None:
    keys = [f"{letter}{new_id()[:20]}" for letter in "-_.:/=+@"] + ["a" * 18 + new_id("")[1:]]
    written = library.write(keys)
    assert await found_by(library.traces, *keys) == written


async def test_ids_differ_by_case_and_are_no_patterns(library: Library) -> None:
    key = f"Ab_{new_id()[:20]}"
    library.write([key])
    assert await found_by(library.traces, key.lower(), key.replace("_", "-"), key[:-1]) == {}


async def test_all_segment_fields_of_a_trace(real: RealLibrary) -> None:
    key = new_id()
    metadata = {
        "mlflow.trace.session": "s-1",
        "mlflow.trace.user": "u-1",
        "environment": "production",
        "app_version": "1.2.3",
        "deployment_id": "arm-b",
        "region": "r" * 250,
    }
    real.write([key], metadata)
    assert (await real.traces.search([key], since=None))[key].segment == Segment(
        session_id="s-1",
        user_id="u-1",
        environment="production",
        app_version="1.2.3",
        deployment_id="arm-b",
        region="r" * 250,
    )


async def test_the_newest_that_is_ok_is_chosen_over_a_newer_that_failed(real: RealLibrary) -> None:
    ok_first, failed_only, ok_twice = new_id(), new_id(), new_id()
    real.maker.begin(ok_first, fails=True)
    chosen = real.maker.begin(ok_first)
    real.maker.begin(ok_first, fails=True)
    failed = [real.maker.begin(failed_only, fails=True) for _ in range(2)]
    oks = [real.maker.begin(ok_twice) for _ in range(2)]
    mlflow.flush_trace_async_logging()
    found = await found_by(real.traces, ok_first, failed_only, ok_twice)
    assert found[ok_first] == chosen
    assert found[failed_only] in failed
    assert found[ok_twice] in oks


async def test_four_hundred_and_fifty_ids_in_one_call(real: RealLibrary) -> None:
    keys = [new_id() for _ in range(450)]
    # Known ones at both ends and on each side of the borders between calls.
    known = sorted(keys)[:3] + sorted(keys)[198:202] + sorted(keys)[398:402] + sorted(keys)[-3:]
    written = real.write(known)
    assert await found_by(real.traces, *keys) == written


async def test_a_request_with_many_traces_does_not_hide_others(real: RealLibrary) -> None:
    quiet, loud = new_id(), new_id()
    written = real.write([quiet])
    for _ in range(9):
        last = real.maker.begin(loud)
    mlflow.flush_trace_async_logging()
    found = await found_by(real.traces, quiet, loud)
    assert found[quiet] == written[quiet]
    assert found[loud] is not None
    assert last.startswith("tr-")


async def test_an_experiment_is_known_by_its_name_and_by_its_id(
    stack: Stack, threads: MlflowThreads, trace_maker: TraceMaker
) -> None:
    name, key = new_id("my experiment's"), new_id()
    experiment_id = make_experiment(stack, name)
    maker = TraceMaker(experiment_id)
    trace_id = maker.begin(key)
    mlflow.flush_trace_async_logging()
    for given in (name, experiment_id):
        assert await found_by(MlflowTraces([given], threads), key) == {key: trace_id}
    both = MlflowTraces([name, experiment_id], threads)
    assert await found_by(both, key) == {key: trace_id}
    elsewhere = trace_maker.begin(new_id())
    assert elsewhere != trace_id


async def test_a_trace_in_another_experiment_is_not_found(
    stack: Stack, threads: MlflowThreads, real: RealLibrary
) -> None:
    key = new_id()
    real.write([key])
    assert await found_by(MlflowTraces([make_experiment(stack, new_id("other"))], threads), key) == {}


@pytest.mark.parametrize("experiment", ["no such experiment", "987654321"])
async def test_an_unknown_experiment_is_told_by_the_setting_that_names_it(
    stack: Stack, threads: MlflowThreads, experiment: str
) -> None:
    known = make_experiment(stack, new_id("known"))
    with pytest.raises(DependencyAwayError) as caught:
        await MlflowTraces([known, experiment], threads).search([new_id()], since=None)
    assert caught.value.dependency == "mlflow"
    assert experiment in caught.value.detail
    assert "FEEDBACK_MLFLOW_EXPERIMENTS" in caught.value.detail


async def test_an_experiment_that_is_made_later_is_found_then(stack: Stack, threads: MlflowThreads) -> None:
    name = new_id("later")
    traces = MlflowTraces([name], threads)
    with pytest.raises(DependencyAwayError):
        await traces.search([new_id()], since=None)
    make_experiment(stack, name)
    assert await found_by(traces, new_id()) == {}


async def test_mlflow_that_gives_no_answer_is_away(
    stack: Stack, threads: MlflowThreads, world: Settings
) -> None:
    mlflow.set_tracking_uri(f"http://127.0.0.1:{free_port()}")
    try:
        for experiment in (world.mlflow_experiments[0], "a name"):
            with pytest.raises(DependencyAwayError) as caught:
                await MlflowTraces([experiment], threads).search([new_id()], since=None)
            assert caught.value.dependency == "mlflow"
    finally:
        mlflow.set_tracking_uri(stack.mlflow)


@pytest.mark.parametrize(
    "hostile",
    ["x' OR attributes.status = 'OK", "a'b", 'a"b', "a b", "a,b", "a\\", "a`b", "", "é", "a\n", "('a')"],
)
async def test_a_hostile_id_never_reaches_mlflow(real: RealLibrary, hostile: str) -> None:
    with pytest.raises(ValueError, match="must not reach an MLflow filter"):
        await real.traces.search([new_id(), hostile], since=None)
