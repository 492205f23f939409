"""One seed from its beginning to its ledger, on a stack that other seeds use as well."""

import asyncio
import json
import logging
import signal
import time
import traceback
from collections import Counter
from collections.abc import Iterator, Mapping
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager
from dataclasses import dataclass
from datetime import UTC, datetime
from pathlib import Path
from typing import Final
from urllib.parse import urlsplit, urlunsplit

from confluent_kafka import KafkaException
from confluent_kafka.admin import AdminClient
from support.consumers import Consumers
from support.stack import Stack, make_settings

from chaos.faults import Havoc
from chaos.fleet import Fleet
from chaos.kafka_log import Commit, Held, KafkaLog, Place
from chaos.ledger import Difference, Evidence, FirstPass, Ledger, compare
from chaos.mlflow import give_plugin_back, has_plugin
from chaos.proxy import Fate, Proxy
from chaos.publishing import Recorder, export, publish
from chaos.schedule import CONSUMERS, Schedule, Sink
from chaos.stores import assessments, chats, put_traces, refuse_unstorable
from chaos.traffic import Plan, plan_traffic
from chaos.truth import read_truth
from chaos.writes import WRITES
from consumers.settings import Settings
from local import stack as local_stack
from ops.topics import create_topics

BROKERS: Final = 3
PROGRESS_SECONDS: Final = 30
"""Within so long after the last heal something must have moved, and again and again until all is settled."""

_SETTLE_SECONDS: Final = 180
_PUBLISH_SECONDS: Final = 120
_MEMORY_MIB: Final = 300
_ASK_SECONDS: Final = 0.5
_PARTITIONS: Final = 6
_THREADS: Final = 24
_GROUPS: Final = {"feedback-chats": "chat-completed", "feedback-logger": "feedback-submitted"}
_RETRIES_GROUP: Final = "feedback-retries"
_RETRY_TOPICS: Final = "feedback-retry-"
_SURE_SECONDS: Final = 15.0
"""A trace that can be found so soon after its feedback must be found: all attempts take 4 * 1 s + 4 * 3 s."""

_SETTINGS: Final[Mapping[str, object]] = {
    # Kafka's least: a frozen or killed consumer is missed sooner.
    "kafka_session_timeout_ms": 6000,
    "retry_delays": ("1s", "3s"),
    "retry_attempts": (4, 4),
    # A write is begun within a third of it, and held for at most 17 s by `hold writes and kill`.
    "request_lifetime_seconds": 28,
}
# One by one a batch of 100 takes a second.
_BATCH: Final[Mapping[Sink, int]] = {"auto": 200, "rest": 100}
_MLFLOW_SECONDS: Final = {"MLFLOW_HTTP_REQUEST_TIMEOUT": "5"}


@dataclass(slots=True)
class Result:
    """What a seed has shown."""

    schedule: Schedule
    ledger: Ledger
    seconds: float
    folder: Path
    peak_mib: float
    writes: Counter[tuple[str, Fate]]
    """By kind and fate, the requests that write into MLflow."""

    @property
    def wrong(self) -> Counter[str]:
        """Count the differences by what they break."""
        return Counter(difference.wrong for difference in self.ledger.differences)


@contextmanager
def the_cluster(home: Path, *, keep: bool = False) -> Iterator[Stack]:
    """Give a stack with three brokers, ended and deleted at the end unless it is to be kept."""
    try:
        addresses = local_stack.up(home, brokers=BROKERS)
        refuse_unstorable(addresses.postgres)
        yield Stack(addresses.kafka, addresses.postgres, addresses.mlflow, home)
    finally:
        if not keep:
            local_stack.down(home, purge=True)


def run_seed(stack: Stack, schedule: Schedule, *, events: int, folder: Path) -> Result:
    """Run one seed in a world of its own and give its result; logs and findings are left in the folder."""
    folder.mkdir(parents=True, exist_ok=True)
    began = time.monotonic()
    try:
        result = asyncio.run(_run(stack, schedule, events, folder))
    except Exception:  # noqa: BLE001 - the next seed may still show something
        text = f"the run itself failed: {traceback.format_exc()}"
        ledger = Ledger([Difference("rig", text)], Counter())
        result = Result(schedule, ledger, time.monotonic() - began, folder, 0.0, Counter())
    _make_whole(stack)
    return result


def _make_whole(stack: Stack) -> None:
    """Leave every part running for the next seed, also after a run that was broken off."""
    assert stack.home is not None
    for part in local_stack.status(stack.home):
        local_stack.kill_part(stack.home, part.name, signal.SIGCONT)
        local_stack.start_part(stack.home, part.name)
    if not has_plugin(stack.mlflow):
        give_plugin_back(stack.home)
    _drop_topics(stack.kafka)


def _drop_topics(kafka: str) -> None:
    """Delete the seed's topics: a broker that starts reads of all of them, and is slower with each seed."""
    admin = AdminClient({"bootstrap.servers": kafka, "log_level": 3})
    names = [name for name in admin.list_topics(timeout=30).topics if not name.startswith("__")]
    for future in admin.delete_topics(names).values() if names else ():
        future.result(30)


async def _run(stack: Stack, schedule: Schedule, events: int, folder: Path) -> Result:
    assert stack.home is not None
    asyncio.get_running_loop().set_default_executor(ThreadPoolExecutor(_THREADS))
    began = time.monotonic()
    settings = make_settings(
        stack,
        topic_partitions=_PARTITIONS,
        http_port=0,
        mlflow_sink=schedule.sink,
        batch_max_records=_BATCH[schedule.sink],
        **_SETTINGS,
    )
    await create_topics(settings)
    plan = plan_traffic(
        schedule.seed,
        events,
        length=schedule.length,
        begin=datetime.now(UTC),
        prefix=f"{settings.topic_prefix}",
    )
    with (
        _client_logs(folder),
        _proxied(stack, settings) as (proxies, seen),
        Consumers(seen, folder, **_MLFLOW_SECONDS) as consumers,
    ):
        run = _Run(stack, schedule, settings, plan, folder, proxies, consumers)
        return await run.result(began)


@contextmanager
def _proxied(stack: Stack, settings: Settings) -> Iterator[tuple[Mapping[str, Proxy], Settings]]:
    """Put a proxy before MLflow and one before Postgres; gives the settings that lead through them."""
    with Proxy(_port(stack.mlflow), kinds=WRITES) as mlflow, Proxy(_port(stack.postgres)) as postgres:
        given = settings.model_dump() | {
            "kafka": settings.kafka,
            "database_url": _through(postgres, stack.postgres),
            "mlflow_tracking_uri": _through(mlflow, stack.mlflow),
        }
        yield {"mlflow": mlflow, "postgres": postgres}, Settings(**given)


def _port(url: str) -> int:
    port = urlsplit(url).port
    assert port is not None
    return port


def _through(proxy: Proxy, url: str) -> str:
    parts = urlsplit(url)
    return urlunsplit(parts._replace(netloc=parts.netloc.replace(f":{parts.port}", f":{proxy.port}")))


class _Run:
    """What one run holds."""

    def __init__(  # noqa: PLR0913, PLR0917 - it is made in one place
        self,
        stack: Stack,
        schedule: Schedule,
        settings: Settings,
        plan: Plan,
        folder: Path,
        proxies: Mapping[str, Proxy],
        consumers: Consumers,
    ) -> None:
        assert stack.home is not None
        self._stack = stack
        self._schedule = schedule
        self._settings = settings
        self._plan = plan
        self._folder = folder
        self._recorder = Recorder()
        self._kafka = KafkaLog(stack.kafka)
        self._fleet = Fleet(consumers, self._note)
        self._notes = (folder / "run.log").open("w", encoding="utf-8")
        self._proxies = proxies
        self._havoc = Havoc(
            home=stack.home,
            postgres=stack.postgres,
            fleet=self._fleet,
            proxies=proxies,
            kafka=self._kafka,
            topic_prefix=settings.topic_prefix,
            note=self._note,
        )
        self._differences: list[Difference] = []

    def _note(self, text: str) -> None:
        clock = datetime.now().strftime("%H:%M:%S.%f")[:-3]  # noqa: DTZ005 - as the differences show it
        self._notes.write(f"{clock} {text}\n")
        self._notes.flush()

    async def result(self, began: float) -> Result:
        """Play the traffic and the faults, wait until all is settled, and compare."""
        commits_from = await asyncio.to_thread(self._kafka.commits_end)
        self._note(str(self._schedule))
        await self._play()
        healed = time.monotonic()
        await self._settle()
        settled = time.monotonic()
        self._watching.cancel()
        await self._fleet.end_all()
        ledger = await asyncio.to_thread(self._compare, commits_from)
        ledger.differences.extend(self._differences)
        ledger.differences.extend(Difference("process", text) for text in self._fleet.ended)
        if self._fleet.peak_mib > _MEMORY_MIB:
            text = f"a consumer had {self._fleet.peak_mib:.0f} MiB; the bound is {_MEMORY_MIB}"
            ledger.differences.append(Difference("process", text))
        ledger.counts.update(
            settling=round(settled - healed),
            publish_errors=self._recorder.errors,
            acks=len(self._recorder.acks),
            **self._havoc.counts,
        )
        writes = self._proxies["mlflow"].counts
        ledger.counts.update({f"{kind} {fate}": count for (kind, fate), count in writes.items()})
        self._write_down(ledger)
        self._notes.close()
        self._kafka.close()
        seconds = time.monotonic() - began
        return Result(self._schedule, ledger, seconds, self._folder, self._fleet.peak_mib, writes)

    async def _play(self) -> None:
        loop = asyncio.get_running_loop()
        at_once = [trace for trace in self._plan.traces if trace.at <= 0]
        later = [trace for trace in self._plan.traces if trace.at > 0]
        experiment = self._settings.mlflow_experiments[0]
        await asyncio.to_thread(put_traces, self._stack.postgres, experiment, at_once)
        self._recorder.exported.update({trace.trace_id: time.time() for trace in at_once})
        await asyncio.gather(*(self._fleet.start(name, ready=True) for name in CONSUMERS))
        self._watching = asyncio.create_task(self._fleet.watch())
        start = loop.time()
        self._note("0.0 s")
        async with asyncio.timeout(self._schedule.length + _PUBLISH_SECONDS), asyncio.TaskGroup() as group:
            group.create_task(publish(self._plan, self._settings, self._recorder, start))
            group.create_task(export(later, self._settings, self._recorder, start))
            group.create_task(self._havoc.run(self._schedule))
        self._note("all is published and healed")

    async def _settle(self) -> None:
        """Wait until no group lags, as long as something moves."""
        deadline = time.monotonic() + _SETTLE_SECONDS
        best, moved = (1 << 60, 0), time.monotonic()
        while True:
            now = time.monotonic()
            try:
                lag, told = await asyncio.to_thread(self._standing)
            except KafkaException as error:
                self._note(f"lag is not known: {error}")
            else:
                if lag == 0:
                    self._note("settled")
                    return
                if lag < best[0] or told > best[1]:
                    best, moved = (min(lag, best[0]), max(told, best[1])), now
                    self._note(f"lag {lag}, told {told}")
            if now - moved > PROGRESS_SECONDS or now > deadline:
                where = await asyncio.to_thread(self._lags)
                text = f"nothing moved for {now - moved:.0f} s, lag {best[0]}: {where}"
                self._differences.append(Difference("progress", text))
                self._note(text)
                return
            await asyncio.sleep(_ASK_SECONDS)

    def _lags(self) -> dict[str, int]:
        """Give by group and partition what is not committed yet, where there is something."""
        prefix = self._settings.topic_prefix
        topics = self._kafka.topics(prefix)
        retries = [topic for topic in topics if topic.startswith(prefix + _RETRY_TOPICS)]
        groups = {group: [prefix + topic] for group, topic in _GROUPS.items()}
        if retries:
            groups[_RETRIES_GROUP] = retries
        lags = {}
        for group, names in groups.items():
            ends = self._kafka.ends(names)
            committed = self._kafka.committed(prefix + group, ends)
            for place, end in ends.items():
                if (lag := end - committed.get(place, 0)) > 0:
                    lags[f"{group} {place[0]}[{place[1]}]"] = lag
        return lags

    def _standing(self) -> tuple[int, int]:
        topics = self._settings.topics
        ends = self._kafka.ends([topics.feedback_logged, topics.dead_letter])
        return sum(self._lags().values()), sum(ends.values())

    def _compare(self, commits_from: Mapping[Place, int]) -> Ledger:
        topics, prefix = self._settings.topics, self._settings.topic_prefix
        nonsense = {send.key for send in self._plan.sends if send.event is None}
        chat_log = self._kafka.read(topics.chat_completed)
        commits = self._kafka.commits(prefix, commits_from)
        found = Evidence(
            acks=self._recorder.acks,
            feedback_log=self._kafka.read(topics.feedback_submitted),
            chat_log=chat_log,
            receipts=self._kafka.read(topics.feedback_logged),
            dead_letters=self._kafka.read(topics.dead_letter),
            parked=[
                held
                for topic in self._kafka.topics(prefix + _RETRY_TOPICS)
                for held in self._kafka.read(topic)
            ],
            commits=commits,
            assessments=assessments(self._stack.postgres, self._settings.mlflow_experiments[0]),
            chats=chats(self._stack.postgres, self._settings.database_schema),
            chat_nonsense=[held for held in chat_log if held.key in nonsense],
        )
        truth = read_truth(
            found.feedback_log,
            self._plan,
            exported=self._recorder.exported,
            indexed=_indexed(chat_log, nonsense, commits),
            sure_seconds=_SURE_SECONDS,
        )
        return compare(truth, found)

    def _write_down(self, ledger: Ledger) -> None:
        lines = [f"{name}: {count}" for name, count in sorted(ledger.counts.items())]
        lines += [str(difference) for difference in ledger.differences]
        (self._folder / "ledger.txt").write_text("\n".join(lines) + "\n", encoding="utf-8")


@contextmanager
def _client_logs(folder: Path) -> Iterator[None]:
    """Have our own Kafka clients, which hear of every fault, complain into a file."""
    logger = logging.getLogger("aiokafka")
    before = logger.handlers, logger.propagate
    handler = logging.FileHandler(folder / "clients.log")
    logger.handlers, logger.propagate = [handler], False
    try:
        yield
    finally:
        logger.handlers, logger.propagate = before
        handler.close()


def _indexed(chat_log: list[Held], nonsense: set[bytes | None], commits: list[Commit]) -> dict[str, float]:
    """Give by request when a chat event of it was committed first, in Unix seconds."""
    found: dict[str, float] = {}
    passed = FirstPass(commits)
    for held in chat_log:
        if held.key not in nonsense and (commit := passed.before(held)) is not None:
            request_id = json.loads(held.value or b"")["client_request_id"]
            at = commit.milliseconds / 1000
            found[request_id] = min(at, found.get(request_id, at))
    return found
