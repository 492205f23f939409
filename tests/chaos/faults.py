"""Carrying out a schedule: each fault is done at its time, and healed at its end."""

import asyncio
import signal
import time
from collections import Counter, defaultdict
from collections.abc import Awaitable, Callable, Mapping
from contextlib import AsyncExitStack
from dataclasses import dataclass, field
from pathlib import Path
from typing import assert_never

from chaos.fleet import Fleet
from chaos.kafka_log import KafkaLog
from chaos.mlflow import give_plugin_back, take_plugin_away
from chaos.proxy import Held, Proxy
from chaos.schedule import CONSUMERS, Fault, Schedule
from chaos.stores import blocked_writes
from chaos.writes import BULK, HELD, HIDDEN, SINGLE, TOO_LARGE
from local import stack

_MORE = ("extra-0", "extra-1")
_ADDED_PARTITIONS = 3
_HELD = 6
_LOOK_SECONDS = 0.05
_GATHER_SECONDS = 1.5
_WRITE_SECONDS = 4.0


@dataclass(slots=True)
class Havoc:
    """What faults are done to; ``note`` is told of each, with its time."""

    home: Path
    postgres: str
    fleet: Fleet
    proxies: Mapping[str, Proxy]
    kafka: KafkaLog
    topic_prefix: str
    note: Callable[[str], None]
    counts: Counter[str] = field(default_factory=Counter)
    _lanes: dict[str, asyncio.Lock] = field(default_factory=lambda: defaultdict(asyncio.Lock))

    async def run(self, schedule: Schedule) -> None:
        """Do all of a schedule, from now; returns once everything is healed."""
        start = time.monotonic()
        async with asyncio.TaskGroup() as group:
            for fault in schedule.faults:
                group.create_task(self._one(fault, start))

    async def _one(self, fault: Fault, start: float) -> None:
        await asyncio.sleep(max(0.0, start + fault.at - time.monotonic()))
        # A heal may take longer than was planned: MLflow needs seconds to start.
        async with AsyncExitStack() as lanes:
            for lane in fault.lanes:
                await lanes.enter_async_context(self._lanes[lane])
            self.note(f"begins  {fault}")
            heal = await self._begin(fault)
            await asyncio.sleep(fault.seconds)
            await heal()
            self.note(f"healed  {fault}")

    async def _begin(self, fault: Fault) -> Callable[[], Awaitable[None]]:
        """Begin a fault; gives what heals it."""
        match fault.kind:
            case "kill consumer" | "end consumer" | "freeze consumer" | "freeze and kill consumer":
                return await self._consumer(fault)
            case "more consumers":
                return await self._more()
            case "kill broker" | "kill postgres" | "kill mlflow":
                await asyncio.to_thread(stack.kill_part, self.home, fault.target)
                return lambda: _done(asyncio.to_thread(stack.start_part, self.home, fault.target))
            case "freeze broker" | "freeze postgres" | "freeze mlflow":
                return await self._freeze_part(fault.target)
            case "hold writes" | "hold writes and kill":
                return self._hold(fault)
            case "kill mlflow in a write":
                await asyncio.to_thread(self._kill_in_a_write)
                return lambda: _done(asyncio.to_thread(stack.start_part, self.home, fault.target))
            case "take plugin away":
                await asyncio.to_thread(take_plugin_away, self.home)
                return lambda: asyncio.to_thread(give_plugin_back, self.home)
            case "lose answers to writes" | "hide plugin" | "refuse large":
                return self._network(fault)
            case "cut" | "refuse" | "delay" | "swallow and hang" | "swallow and close":
                return self._network(fault)
            case "add partitions":
                await asyncio.to_thread(self._add_partitions, self.topic_prefix + fault.target)
                return _nothing
            case _:
                assert_never(fault.kind)

    async def _consumer(self, fault: Fault) -> Callable[[], Awaitable[None]]:
        name = fault.target
        match fault.kind:
            case "kill consumer":
                await self.fleet.kill(name)
            case "end consumer":
                await self.fleet.end(name)
            case "freeze consumer":
                self.fleet.freeze(name)
                return lambda: asyncio.to_thread(self.fleet.thaw, name)
            case _:
                self.fleet.freeze(name)

                async def kill_and_start() -> None:
                    await self.fleet.kill(name)
                    await self.fleet.start(name)

                return kill_and_start
        return lambda: self.fleet.start(name)

    async def _more(self) -> Callable[[], Awaitable[None]]:
        for name in _MORE:
            await self.fleet.start(name)

        async def fewer() -> None:
            for name in _MORE:
                await self.fleet.end(name)

        return fewer

    async def _freeze_part(self, name: str) -> Callable[[], Awaitable[None]]:
        await asyncio.to_thread(stack.kill_part, self.home, name, signal.SIGSTOP)
        return lambda: _done(asyncio.to_thread(stack.kill_part, self.home, name, signal.SIGCONT))

    def _network(self, fault: Fault) -> Callable[[], Awaitable[None]]:
        proxy = self.proxies[fault.target]
        match fault.kind:
            case "cut":
                proxy.cut()
            case "refuse":
                proxy.refuse()
                proxy.cut()
            case "delay":
                proxy.delay(1.0)
            case "swallow and hang":
                proxy.swallow("hang")
            case "lose answers to writes":
                proxy.swallow("close", {BULK, SINGLE})
            case "hide plugin":
                proxy.answer(HIDDEN)
            case "refuse large":
                proxy.answer(TOO_LARGE)
            case _:
                proxy.swallow("close")
        return lambda: asyncio.to_thread(proxy.heal)

    def _kill_in_a_write(self) -> None:
        """Kill MLflow while a write stands in its transaction; without one in time it is left alone."""
        with blocked_writes(self.postgres) as blocked:
            found = blocked.wait_for_one(_WRITE_SECONDS)
            mlflow = self.proxies["mlflow"]
            under_way = {kind: mlflow.under_way(kind) for kind in (BULK, SINGLE)}
            if found:
                stack.kill_part(self.home, "mlflow")
        self.note(
            f"killed MLflow in {found} transactions, under way: {under_way}" if found else "no write came"
        )
        self.counts["killed in a transaction"] += found

    def _hold(self, fault: Fault) -> Callable[[], Awaitable[None]]:
        """Hold writes back, so that they come late: after their writer has given up, or has been killed."""
        proxy = self.proxies[fault.target]
        held = proxy.hold(HELD, _HELD)
        kill = fault.kind == "hold writes and kill"
        holding = asyncio.create_task(self._hold_so_long(held, fault.seconds, kill=kill))

        async def release() -> None:
            if held.caught.is_set():
                await holding
            else:
                holding.cancel()
            self.note(f"held {_HELD - held.left} writes: {held.lines}")
            proxy.heal()
            held.release()

        return release

    async def _hold_so_long(self, held: Held, seconds: float, *, kill: bool) -> None:
        """From the moment when the first is caught, which may be seconds after the fault began."""
        while not held.caught.is_set():  # noqa: ASYNC110 - it is set in another thread
            await asyncio.sleep(_LOOK_SECONDS)
        caught = time.monotonic()
        while held.left and time.monotonic() < caught + _GATHER_SECONDS:  # noqa: ASYNC110 - as above
            await asyncio.sleep(_LOOK_SECONDS)
        for name in CONSUMERS if kill else ():
            await self.fleet.kill(name)
            await self.fleet.start(name)
            self.note(f"killed {name}, as a write is held")
        await asyncio.sleep(max(0.0, caught + seconds - time.monotonic()))

    def _add_partitions(self, topic: str) -> None:
        there = self.kafka.topics(topic)[topic]
        self.kafka.add_partitions(topic, there + _ADDED_PARTITIONS)


async def _done(work: Awaitable[object]) -> None:
    await work


async def _nothing() -> None:
    pass
