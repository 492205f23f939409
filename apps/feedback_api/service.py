"""What the routes do: from who asks and what is said to events in Kafka, and to what became of them."""

import asyncio
from collections.abc import AsyncIterator, Callable, Sequence
from contextlib import asynccontextmanager, suppress
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from typing import Final
from uuid import UUID, uuid4

import structlog

from apps.feedback_api import say
from apps.feedback_api.callers import Caller, PageCaller, ServiceCaller, Trust
from apps.feedback_api.door import Door
from apps.feedback_api.keys import SeenKeys
from apps.feedback_api.metrics import ApiMetrics
from apps.feedback_api.models import Accepted, FeedbackAnswer, State, StatusAnswer
from apps.feedback_api.problems import NO_POSTGRES, ProblemError, away
from apps.feedback_api.rates import Rates
from apps.feedback_api.receipts import Expected, Receipt, ReceiptHub
from apps.feedback_api.references import References
from apps.feedback_api.settings import ApiSettings, keys_of, new_key
from apps.feedback_api.standing import Remembered, standings
from apps.feedback_api.tokens import Grant, TokenKeys
from consumers.settings import Settings
from contracts.events import FeedbackEvent
from pipeline.adapters.mlflow_client import MlflowThreads, configure_mlflow
from pipeline.adapters.mlflow_traces import MlflowTraces
from pipeline.adapters.postgres import make_pool
from pipeline.outcomes import DependencyAwayError
from pipeline.versions import versions_of

log = structlog.get_logger(__name__)

_STATES: Final[dict[str, State]] = {
    "logged": "logged",
    "superseded": "superseded",
    "withdrawn": "withdrawn",
    "dead-lettered": "dead",
}


def _now() -> datetime:
    return datetime.now(UTC)


@dataclass(frozen=True, slots=True, kw_only=True)
class Request:
    """What comes with a request besides its body."""

    caller: Caller
    key: str | None
    digest: bytes
    wait: float


class FeedbackApi:
    """All that the routes need, connected while `running`.

    Args:
        settings: of Kafka, Postgres and MLflow.
        api: of the routes.
        clock: gives the time of what is submitted.

    """

    def __init__(self, settings: Settings, api: ApiSettings, *, clock: Callable[[], datetime] = _now) -> None:
        self.settings = settings
        self.api = api
        self.now = clock
        self.tokens = TokenKeys(keys_of(api.token_keys) or keys_of(new_key()))
        self.trust = Trust(self.tokens, keys_of(api.service_keys), api.open)
        self.rates = Rates(api)
        self.metrics = ApiMetrics()
        self.door = Door(settings.kafka, settings.topics, seconds=api.publish_seconds)
        self.hub = ReceiptHub(settings.kafka, settings.topics.feedback_logged, waiters=api.waiters)
        self.pool = make_pool(
            settings.database_url.get_secret_value(),
            settings.database_schema,
            size=settings.database_pool_size,
        )
        self._threads = MlflowThreads(settings.mlflow_concurrency)
        traces = MlflowTraces(settings.mlflow_experiments, self._threads)
        self.references = References(self.pool, traces, self._threads, seconds=api.lookup_seconds)
        self._seen = SeenKeys()
        self._remembered = Remembered()

    @asynccontextmanager
    async def running(self) -> AsyncIterator[None]:
        """Connect, and disconnect at the end; what is away is waited for in the background."""
        configure_mlflow(concurrency=self.settings.mlflow_concurrency)
        await self.pool.open()
        tasks = [asyncio.create_task(self.hub.run()), asyncio.create_task(self.door.run())]
        if not self.api.token_keys.get_secret_value():
            log.warning(
                "token_keys_missing", why="FEEDBACK_API_TOKEN_KEYS is not set: tokens end with the process"
            )
        if self.api.open:
            log.warning("open_to_all", why="FEEDBACK_API_OPEN: feedback is taken from anybody who gets here")
        try:
            yield
        finally:
            for task in tasks:
                task.cancel()
            with suppress(asyncio.CancelledError):
                await asyncio.gather(*tasks)
            await self.door.close()
            await self.pool.close()
            self._threads.close()

    def is_ready(self) -> dict[str, bool]:
        """Tell what is there."""
        return {"kafka": self.door.is_open and self.door.answers, "receipts": self.hub.reads.is_set()}

    def token(
        self, *, client_request_id: str | None, trace_id: str | None, user: str | None, names: Sequence[str]
    ) -> str:
        """Give a feedback token for one answer, to hand to the page."""
        expires = self.now() + timedelta(seconds=self.api.token_seconds)
        grant = Grant(
            client_request_id=client_request_id,
            trace_id=trace_id,
            user=user,
            names=tuple(names),
            expires_at=expires,
        )
        return self.tokens.sign(grant)

    async def take(self, asked: Sequence[say.Asked], request: Request) -> tuple[bool, list[Accepted]]:
        """Publish what was asked; gives whether all receipts are there, and an answer for each.

        Raises:
            ProblemError: for what is not allowed, too much, or not acknowledged.
            ContractError: naming field and limit.

        """
        if not isinstance(request.caller, ServiceCaller):
            await self.rates.user(request.caller.counted_as, len(asked))
        events = await self._events(asked, request)
        wanted = [(event.event_id, version.feedback_id) for event in events for version in versions_of(event)]
        if not request.wait:
            await self._publish(events)
            return False, [self._accepted(event) for event in events]
        with self.hub.expect(wanted) as expected:
            await self._publish(events)
            if expected is not None and await expected.wait(request.wait):
                return True, [self._with_receipts(event, expected) for event in events]
        answers = [self._accepted(event) for event in events]
        return await self._look(answers), answers

    async def _events(self, asked: Sequence[say.Asked], request: Request) -> list[FeedbackEvent]:
        at = self.now()
        if request.key is not None:
            at = self._seen.time_of(request.caller.name, request.key, request.digest, now=at)
        events: list[FeedbackEvent] = []
        for index, one in enumerate(asked):
            key = request.key
            event_id = uuid4() if key is None else say.event_id_of(request.caller.name, key, index)
            # Those of one request in their order: of two about the same feedback the later one counts.
            stamp = say.Stamp(event_id, at + timedelta(microseconds=index))
            place = say.about(one, request.caller)
            if not isinstance(request.caller, PageCaller):
                place = await self.references.complete(place)
            events.append(say.event(one, request.caller, place, stamp))
        return events

    async def _publish(self, events: Sequence[FeedbackEvent]) -> None:
        await self.door.publish(*events)
        self.metrics.published(len(events))
        for event in events:
            for version in versions_of(event):
                self._remembered.add(version.feedback_id, event.event_id, event.reference)

    @staticmethod
    def _accepted(event: FeedbackEvent) -> Accepted:
        return Accepted(
            event_id=event.event_id,
            client_request_id=event.client_request_id,
            trace_id=event.trace_id,
            feedback=[
                FeedbackAnswer(
                    feedback_id=version.feedback_id,
                    name=version.name,
                    kind=version.kind,
                    status_url=f"/v1/feedback/{version.feedback_id}?event_id={event.event_id}",
                )
                for version in versions_of(event)
            ],
        )

    def _with_receipts(self, event: FeedbackEvent, expected: Expected) -> Accepted:
        answer = self._accepted(event)
        for item in answer.feedback:
            _fill(item, expected.receipts[str(event.event_id), str(item.feedback_id)])
            answer.trace_id = answer.trace_id or item.trace_id
        answer.status = "settled"
        return answer

    async def _look(self, answers: Sequence[Accepted]) -> bool:
        """Ask the table once, when receipts have not come: they may have come before we read."""
        try:
            found = await standings(self.pool, [item.feedback_id for one in answers for item in one.feedback])
        except DependencyAwayError:
            return False
        for answer in answers:
            for item in answer.feedback:
                stands = found.get(item.feedback_id)
                if stands is not None:
                    status = stands.of_event(answer.event_id, is_new=True)
                    item.status, item.reason = status.status, status.reason
                    item.trace_id, item.assessment_id = status.trace_id, status.assessment_id
            if all(item.status in _STATES.values() for item in answer.feedback):
                answer.status = "settled"
        return all(answer.status == "settled" for answer in answers)

    async def status(self, feedback_id: UUID, event_id: UUID | None, caller: Caller) -> StatusAnswer:
        """Say what stands of a feedback, or what became of one event about it.

        Raises:
            ProblemError: 404, also for another request than the token's; 503 when Postgres is away.

        """
        try:
            stands = (await standings(self.pool, [feedback_id])).get(feedback_id)
        except DependencyAwayError:
            raise away(NO_POSTGRES) from None
        remembered = self._remembered.get(feedback_id)
        if stands is not None and _may_see(caller, stands.client_request_id, stands.answer.trace_id):
            is_new = remembered is not None and remembered[0] == event_id
            return stands.of_event(event_id, is_new=is_new) if event_id else stands.answer
        if stands is None and remembered and _may_see(caller, remembered[1], remembered[1]):
            return StatusAnswer(feedback_id=feedback_id, status="accepted", event_id=remembered[0])
        raise ProblemError(404, "no such feedback; what was just accepted may take a moment")

    async def known(self, client_request_id: str, *, seconds: float) -> str:
        """Give the trace of a request, for those who want to know at once whether there is one.

        Raises:
            ProblemError: 404.

        """
        found = await self.references.find(client_request_id, seconds=seconds)
        if found is None:
            raise ProblemError(404, f"Unable to find data for client request ID: {client_request_id}")
        return found


def _may_see(caller: Caller, *about: str | None) -> bool:
    if not isinstance(caller, PageCaller):
        return True
    return bool({caller.grant.client_request_id, caller.grant.trace_id} - {None} & set(about))


def _fill(item: FeedbackAnswer, receipt: Receipt) -> None:
    item.status = _STATES[str(receipt["outcome"])]
    item.reason = receipt.get("reason")
    item.trace_id = receipt.get("trace_id")
    item.assessment_id = receipt.get("assessment_id")
