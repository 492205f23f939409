"""The bulk sink where the way to the plugin is not smooth: absent, narrow, lossy, restarted, secured."""

import signal
import time
from collections.abc import Callable, Iterator, Sequence
from dataclasses import replace
from pathlib import Path
from uuid import uuid4

import mlflow
import pytest
from mlflow.tracking._tracking_service.utils import _use_tracking_uri
from support.bulk import Bulk, SqliteMlflow, TraceOf
from support.certificates import Certificates, make_certificates
from support.http_front import Asked, Decision, Front, http_front, pass_on
from support.samples import a_version, at, new_id
from support.shelf import RealShelf, TraceMaker

from consumers.settings import Settings
from local import runner
from local.home import Home
from local.lift import lift, lower
from local.processes import Launch
from local.progress import Silent
from pipeline.adapters.mlflow_batch import MlflowBatchSink
from pipeline.adapters.mlflow_batch_traces import MlflowBatchTraces
from pipeline.adapters.mlflow_batch_wire import PATH
from pipeline.adapters.mlflow_client import MlflowThreads
from pipeline.adapters.mlflow_elsewhere import SeekingSink
from pipeline.adapters.mlflow_rest import MlflowRestSink
from pipeline.adapters.mlflow_traces import MlflowTraces
from pipeline.log import assessment_metadata
from pipeline.outcomes import Away, Dead, Elsewhere, Logged, NotBegun, SinkOutcome, Superseded, Withdrawn
from pipeline.ports import Sink, Write
from pipeline.versions import Version

BULK = f"POST {PATH}/assessments"
ASK = f"GET {PATH}"
ONE_BY_ONE = "/traces/"


@pytest.fixture
def trace_id(trace_maker: TraceMaker) -> str:
    return trace_maker()


@pytest.fixture
def front(world: Settings, trace_id: str) -> Iterator[Front]:
    """A server before MLflow, through which the client goes from here on."""
    del trace_id  # written before
    with http_front(world.mlflow_tracking_uri) as front, _use_tracking_uri(front.url):
        yield front


@pytest.fixture
def sink_of(threads: MlflowThreads) -> Callable[[float], MlflowBatchSink]:
    return lambda seconds: MlflowBatchSink(MlflowRestSink(threads), threads, ask_again_seconds=seconds)


@pytest.fixture
def sink(sink_of: Callable[[float], MlflowBatchSink]) -> MlflowBatchSink:
    return sink_of(60)


@pytest.fixture
def traces(world: Settings, sink: MlflowBatchSink, threads: MlflowThreads) -> MlflowBatchTraces:
    return MlflowBatchTraces(MlflowTraces(world.mlflow_experiments, threads), sink, threads)


def write_of(version: Version, trace_id: str) -> Write:
    metadata = assessment_metadata(version, None)
    return Write(version=version, trace_id=trace_id, metadata=metadata, may_exist=False)


def writes_of(trace_id: str, count: int, **fields: object) -> list[Write]:
    return [write_of(a_version(value=number, **fields), trace_id) for number in range(count)]


async def log(sink: Sink, writes: Sequence[Write]) -> Sequence[SinkOutcome]:
    return await sink.log(writes, until=time.monotonic() + 60)


def logged(writes: Sequence[Write]) -> list[Logged]:
    return [Logged(write.trace_id, write.version.assessment_id) for write in writes]


def withdrawn(writes: Sequence[Write]) -> list[Withdrawn]:
    return [Withdrawn(write.trace_id, write.version.assessment_id) for write in writes]


def held(world: Settings, sink: Sink, trace_id: str) -> list[object]:
    """Give the values that MLflow holds, asked directly."""
    seen = RealShelf(world.mlflow_tracking_uri, sink, lambda: trace_id).seen(trace_id)
    return sorted((item.value for item in seen), key=str)


def values(count: int) -> list[object]:
    return sorted(range(count), key=str)


def answers(status: int, word: str) -> Callable[[Asked], Decision]:
    return lambda asked: status if word in f"{asked.method} {asked.path}" else None


def lose_writes(asked: Asked) -> Decision:
    return "lose the answer" if asked.path.endswith("/assessments") else None


@pytest.mark.parametrize("status", [404, 405, 501, 403, 200])
async def test_without_the_plugin_one_by_one_and_asked_only_now_and_then(
    world: Settings, front: Front, sink: MlflowBatchSink, trace_id: str, status: int
) -> None:
    """403 and a page are what some gateways have for a path that they do not know."""
    front.decide = answers(status, PATH)
    for writes in (first := writes_of(trace_id, 3), first):
        assert await log(sink, writes) == logged(writes)
    assert held(world, sink, trace_id) == values(3)
    assert len(front.requests(ASK)) == 1
    assert front.requests(BULK) == []


@pytest.mark.parametrize("status", [401, 429, 500, 502, 503])
async def test_a_server_that_does_not_say_whether_it_has_the_plugin_is_away(
    front: Front, sink: MlflowBatchSink, trace_id: str, status: int
) -> None:
    front.decide = answers(status, PATH)
    writes = writes_of(trace_id, 2)
    assert [type(outcome) for outcome in await log(sink, writes)] == [Away, Away]
    front.decide = pass_on
    assert await log(sink, writes) == logged(writes)
    assert front.requests(ONE_BY_ONE) == []


@pytest.mark.parametrize("status", [404, 405, 501])
async def test_a_plugin_that_goes_and_comes_back(
    world: Settings,
    front: Front,
    sink_of: Callable[[float], MlflowBatchSink],
    trace_id: str,
    status: int,
) -> None:
    sink = sink_of(0)
    writes = writes_of(trace_id, 6)
    assert await log(sink, writes[:2]) == logged(writes[:2])
    assert len(front.requests(BULK)) == 1
    front.decide = answers(status, PATH)
    assert await log(sink, writes[2:4]) == logged(writes[2:4])
    assert len(front.requests(ONE_BY_ONE)) == 2
    front.decide = pass_on
    assert await log(sink, writes[4:]) == logged(writes[4:])
    assert len(front.requests(ONE_BY_ONE)) == 2
    assert held(world, sink, trace_id) == values(6)


async def test_a_body_that_is_too_large_is_halved_and_that_is_remembered(
    world: Settings, front: Front, sink: MlflowBatchSink, trace_id: str
) -> None:
    refused = []

    def at_most(asked: Asked) -> Decision:
        if len(asked.body) <= 10_000:
            return None
        refused.append(len(asked.body))
        return 413

    front.decide = at_most
    writes = writes_of(trace_id, 100)
    assert await log(sink, writes[:50]) == logged(writes[:50])
    first = len(refused)
    assert 1 <= first <= 3
    assert await log(sink, writes[50:]) == logged(writes[50:])
    assert len(refused) == first
    assert front.requests(ONE_BY_ONE) == []
    assert held(world, sink, trace_id) == values(100)


async def test_one_that_alone_is_too_large_is_dead_and_its_neighbours_are_logged(
    front: Front, sink: MlflowBatchSink, trace_id: str
) -> None:
    front.decide = lambda asked: 413 if len(asked.body) > 10_000 else None
    writes = writes_of(trace_id, 20)
    writes[7] = write_of(a_version(value="v" * 20_000), trace_id)
    outcomes = list(await log(sink, writes))
    dead = outcomes.pop(7)
    assert isinstance(dead, Dead)
    assert dead.reason == "rejected"
    assert outcomes == logged(writes[:7] + writes[8:])


@pytest.mark.parametrize("status", [400, 500])
async def test_a_request_that_it_stumbles_over_is_halved_then_written_one_by_one(
    world: Settings, front: Front, sink: MlflowBatchSink, trace_id: str, status: int
) -> None:
    front.decide = lambda asked: status if PATH in asked.path and b"poison" in asked.body else None
    writes = writes_of(trace_id, 200)
    writes[133] = write_of(a_version(value=133, rationale="poison"), trace_id)
    assert await log(sink, writes) == logged(writes)
    assert held(world, sink, trace_id) == values(200)
    assert len(front.requests(BULK)) < 10
    assert 1 <= len(front.requests(f"POST /api/3.0/mlflow{ONE_BY_ONE}")) <= 16


async def test_a_reply_that_is_lost_after_the_commit(
    world: Settings, front: Front, sink: MlflowBatchSink, trace_id: str
) -> None:
    writes = writes_of(trace_id, 40)
    front.decide = lose_writes
    assert [type(outcome) for outcome in await log(sink, writes)] == [Away] * 40
    assert held(world, sink, trace_id) == values(40)
    front.decide = pass_on
    assert await log(sink, writes) == logged(writes)
    assert held(world, sink, trace_id) == values(40)


async def test_a_first_try_whose_reply_is_lost_is_left_to_the_next(
    front: Front, sink: MlflowBatchSink, trace_id: str
) -> None:
    writes = writes_of(trace_id, 40)
    front.decide = lose_writes
    assert list(await sink.create(writes)) == [False] * 40
    front.decide = answers(404, PATH)
    assert list(await sink.create(writes)) == [False] * 40
    assert len(front.requests(BULK)) == 2
    assert front.requests(ONE_BY_ONE) == []
    front.decide = pass_on
    assert await log(sink, writes) == logged(writes)


async def test_requests_that_take_too_long_become_smaller_and_grow_again(
    front: Front, sink: MlflowBatchSink, trace_id: str
) -> None:
    """Else a database that has become slow would be asked for the same batch for ever."""
    writes = writes_of(trace_id, 100)
    front.decide = lambda asked: "lose the answer" if asked.body.count(b'"op"') > 15 else None
    for _ in range(3):
        assert {type(outcome) for outcome in await log(sink, writes)} <= {Away, NotBegun}
    assert isinstance((await log(sink, writes))[0], Logged)
    front.decide = pass_on
    for _ in range(4):
        before = len(front.requests(BULK))
        assert await log(sink, writes) == logged(writes)
    assert len(front.requests(BULK)) == before + 1


async def test_a_plugin_that_is_taken_away_between_two_requests_of_one_batch(
    world: Settings, front: Front, sink: MlflowBatchSink, trace_id: str
) -> None:
    front.decide = lambda asked: 413 if len(asked.body) > 6_000 else None
    writes = writes_of(trace_id, 80)
    assert await log(sink, writes[:40]) == logged(writes[:40])
    before = len(front.requests(BULK))

    def taken_away(asked: Asked) -> Decision:
        return 404 if PATH in asked.path and len(front.requests(BULK)) > before + 1 else None

    front.decide = taken_away
    assert await log(sink, writes[40:]) == logged(writes[40:])
    assert len(front.requests(BULK)) == before + 2
    assert 10 < len(front.requests(ONE_BY_ONE)) < 40
    assert held(world, sink, trace_id) == values(80)


async def test_withdrawn_in_bulk_it_does_not_come_back(
    world: Settings, front: Front, sink: MlflowBatchSink, trace_id: str
) -> None:
    writes = writes_of(trace_id, 6)
    assert await log(sink, writes[:4]) == logged(writes[:4])
    gone = [
        write_of(replace(write.version, op="withdraw", value=None, submitted_at=at(60)), trace_id)
        for write in writes[2:]
    ]
    assert await log(sink, gone) == [Withdrawn(trace_id, write.version.assessment_id) for write in gone]
    assert await log(sink, writes) == [*logged(writes[:2]), *[Superseded()] * 4]
    assert held(world, sink, trace_id) == values(2)
    assert front.requests(ONE_BY_ONE) == []


@pytest.mark.parametrize("op", ["log", "withdraw"])
async def test_without_the_plugin_it_is_found_on_the_trace_where_it_stands(
    sink: MlflowBatchSink, threads: MlflowThreads, world: Settings, trace_maker: TraceMaker, op: str
) -> None:
    version = a_version(value="first", client_request_id=f"req-{new_id()}")
    first, second = (trace_maker.begin(version.client_request_id) for _ in "ab")
    mlflow.flush_trace_async_logging()
    await log(sink, [write_of(version, first)])
    fields = {"value": "second"} if op == "log" else {"op": "withdraw", "value": None}
    later = replace(version, event_id=uuid4(), submitted_at=at(1), **fields)
    seeking = SeekingSink(MlflowRestSink(threads), MlflowTraces(world.mlflow_experiments, threads))
    assert await log(seeking, [write_of(later, second)]) == [Elsewhere(first)]
    assert held(world, sink, first) == ["first"]
    done = logged if op == "log" else withdrawn
    assert await log(seeking, [write_of(later, first)]) == done([write_of(later, first)])
    assert await log(seeking, [write_of(later, second)]) == (
        [Elsewhere(first)] if op == "log" else done([write_of(later, second)])
    )


async def test_without_a_search_nothing_is_said_of_where_it_stands(
    front: Front, threads: MlflowThreads, world: Settings, trace_id: str
) -> None:
    taken = a_version(op="withdraw", value=None, client_request_id=f"req-{new_id()}")
    seeking = SeekingSink(MlflowRestSink(threads), MlflowTraces(world.mlflow_experiments, threads))
    front.decide = answers(403, "/traces/search")
    (outcome,) = await log(seeking, [write_of(taken, trace_id)])
    assert isinstance(outcome, Away)
    front.decide = pass_on
    assert await log(seeking, [write_of(taken, trace_id)]) == withdrawn([write_of(taken, trace_id)])


@pytest.mark.parametrize("status", [400, 404, 413, 500])
async def test_a_search_that_the_plugin_does_not_answer_is_one_of_mlflow_s_own(
    trace_maker: TraceMaker, traces: MlflowBatchTraces, front: Front, status: int
) -> None:
    request_id = new_id()
    trace_id = trace_maker.begin(request_id)
    mlflow.flush_trace_async_logging()
    front.decide = answers(status, "/resolve")
    for _ in range(2):
        found = await traces.search([request_id], since=None)
        assert {key: chat.trace_id for key, chat in found.items()} == {request_id: trace_id}
    # A server that no longer knows the path is not asked again and again.
    assert len(front.requests("/resolve")) == (1 if status == 404 else 2)


@pytest.fixture(scope="module")
def certificates(tmp_path_factory: pytest.TempPathFactory) -> Certificates:
    return make_certificates(tmp_path_factory.mktemp("certificates"))


@pytest.fixture
def gateway(
    world: Settings, trace_id: str, certificates: Certificates, monkeypatch: pytest.MonkeyPatch
) -> Iterator[Front]:
    """TLS by an authority of its own, a path prefix, and a token; the client is set up for them."""
    del trace_id
    monkeypatch.setenv("MLFLOW_TRACKING_TOKEN", "a-token")
    monkeypatch.setenv("MLFLOW_TRACKING_SERVER_CERT_PATH", str(certificates.authority))
    with (
        http_front(
            world.mlflow_tracking_uri,
            prefix="/ml/flow",
            certificate=certificates.certificate,
            key=certificates.key,
        ) as front,
        _use_tracking_uri(front.url),
    ):
        front.decide = lambda asked: None if asked.headers.get("authorization") == "Bearer a-token" else 401
        yield front


async def test_token_authority_and_prefix_are_those_of_mlflow(
    gateway: Front, sink: MlflowBatchSink, traces: MlflowBatchTraces, trace_id: str
) -> None:
    writes = writes_of(trace_id, 2)
    assert await log(sink, writes) == logged(writes)
    assert await traces.search(["nobody's"], since=None) == {}
    mlflow.get_assessment(trace_id, writes[0].version.assessment_id)
    (alone,) = gateway.requests(ONE_BY_ONE)
    for path in ("", "/assessments", "/resolve"):
        (asked,) = [asked for asked in gateway.asked if asked.path == f"/ml/flow{PATH}{path}"]
        for name in ("authorization", "user-agent"):
            assert asked.headers[name] == alone.headers[name]


async def test_another_authority_or_token_is_not_taken_for_a_server_without_the_plugin(
    gateway: Front,
    sink: MlflowBatchSink,
    trace_id: str,
    certificates: Certificates,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    writes = writes_of(trace_id, 1)
    monkeypatch.setenv("MLFLOW_TRACKING_TOKEN", "another")
    assert await log(sink, writes) == [Away("mlflow", "UNAUTHENTICATED")]
    monkeypatch.setenv("MLFLOW_TRACKING_TOKEN", "a-token")
    monkeypatch.setenv("MLFLOW_TRACKING_SERVER_CERT_PATH", str(certificates.stranger))
    assert [type(outcome) for outcome in await log(sink, writes)] == [Away]
    monkeypatch.setenv("MLFLOW_TRACKING_SERVER_CERT_PATH", str(certificates.authority))
    assert await log(sink, writes) == logged(writes)
    assert gateway.requests(ONE_BY_ONE) == []


async def test_the_workspace_is_that_of_mlflow(
    front: Front, sink: MlflowBatchSink, trace_id: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("MLFLOW_WORKSPACE", "team-b")
    await log(sink, writes_of(trace_id, 1))
    assert {asked.headers.get("x-mlflow-workspace") for asked in front.asked} == {"team-b"}


class PlainMlflow(SqliteMlflow):
    """The same server with its own app alone."""

    def launch(self, ports: dict[str, int]) -> Launch:
        """Leave our app out."""
        launch = super().launch(ports)
        place = launch.argv.index("--app-name")
        return replace(launch, argv=[*launch.argv[:place], *launch.argv[place + 2 :]])


@pytest.mark.timeout(180)
async def test_a_server_that_is_killed_in_mid_batch_and_comes_back_otherwise(
    sink_of: Callable[[float], MlflowBatchSink], tmp_path: Path
) -> None:
    """With the plugin, killed after a reply was lost; then without it; then with it again."""
    home = Home.at(tmp_path / "stack")
    home.make()
    sink, server, plain = sink_of(0), SqliteMlflow(home), PlainMlflow(home)

    def kill_it(asked: Asked) -> Decision:
        if asked.path.endswith("/assessments"):
            runner.signal_part(server, signal.SIGKILL)
        return None

    try:
        address = lift([server], Silent())[server.name]
        bulk = Bulk(address, server.file)
        writes = writes_of(TraceOf(bulk)(), 40)
        with http_front(address) as front, _use_tracking_uri(front.url):
            assert await log(sink, writes[:10]) == logged(writes[:10])
            for decide in (lose_writes, kill_it):
                front.decide = decide
                assert {type(outcome) for outcome in await log(sink, writes[:30])} <= {Away, NotBegun}
            front.decide = pass_on
            lift([plain], Silent())
            assert await log(sink, writes[:35]) == logged(writes[:35])
            alone = len(front.requests(ONE_BY_ONE))
            assert alone > 5
            runner.signal_part(plain, signal.SIGKILL)
            lift([server], Silent())
            assert await log(sink, writes) == logged(writes)
            assert len(front.requests(ONE_BY_ONE)) == alone
        assert len(bulk.query("SELECT 1 FROM assessments")) == 40
    finally:
        lower([server])
