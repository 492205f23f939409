"""What the routes do: from who asks and what is said to events in Kafka, and to what became of them."""

import asyncio
from collections.abc import AsyncIterator, Callable, Sequence
from contextlib import asynccontextmanager
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from http import HTTPStatus
from uuid import UUID, uuid4

import structlog

from apps.feedback_api import say
from apps.feedback_api.answers import STATES, Told, accepted, told, with_receipts
from apps.feedback_api.callers import Caller, PageCaller, ServiceCaller, Trust
from apps.feedback_api.door import Door
from apps.feedback_api.keys import SeenKeys
from apps.feedback_api.metrics import ApiMetrics
from apps.feedback_api.models import Accepted, StatusAnswer
from apps.feedback_api.problems import NO_POSTGRES, ProblemError, away
from apps.feedback_api.rates import Rates
from apps.feedback_api.receipts import ReceiptHub
from apps.feedback_api.references import References
from apps.feedback_api.settings import ApiSettings, keys_of, new_key
from apps.feedback_api.standing import Remembered, standings
from apps.feedback_api.tokens import Grant, TokenKeys
from consumers.settings import Settings
from contracts.events import FeedbackEvent
from contracts.parse import ContractError
from pipeline.adapters.mlflow_client import MlflowThreads, configure_mlflow
from pipeline.adapters.mlflow_traces import MlflowTraces
from pipeline.adapters.postgres import make_pool
from pipeline.outcomes import DependencyAwayError

log = structlog.get_logger(__name__)


def _now() -> datetime:
    return datetime.now(UTC)


@dataclass(frozen=True, slots=True, kw_only=True)
class Request:
    """What comes with a request besides its body."""

    caller: Caller
    key: str | None
    digest: bytes | None
    wait: float
    status_path: str


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
        # The app around the routes may export traces, which would be lost at the first answer of 503.
        configure_mlflow(concurrency=self.settings.mlflow_concurrency, retries=True)
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
            for ended in await asyncio.gather(*tasks, return_exceptions=True):
                if not isinstance(ended, asyncio.CancelledError):
                    log.error("background_ended", error=repr(ended))
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

    async def take(
        self, asked: Sequence[say.Asked], request: Request, *, must_be_known: bool = False
    ) -> tuple[bool, list[Accepted]]:
        """Publish what was asked; gives whether all receipts are there, and an answer for each.

        Args:
            asked: what to publish.
            request: what came with it.
            must_be_known: publish nothing about a request that nobody knows by the end of the wait.

        Raises:
            ProblemError: for what is not allowed, too much, not known, or not acknowledged.
            ContractError: naming field and limit.

        """
        until = asyncio.get_running_loop().time() + request.wait
        if not isinstance(request.caller, ServiceCaller):
            await self.rates.user(request.caller.counted_as, len(asked))
        now = self.now()  # before it looks for anything: who asks later is newer
        at = self._time_of(request, now)
        try:
            return await self._take(asked, request, at, until=until, must_be_known=must_be_known)
        except (ProblemError, ContractError) as error:
            is_refused = isinstance(error, ContractError) or error.status < HTTPStatus.INTERNAL_SERVER_ERROR
            # Mended, it may come again with its key; a retry takes nothing from what was accepted.
            if request.key is not None and is_refused and at == now:
                self._seen.forget(request.caller.name, request.key)
            raise

    async def _take(
        self,
        asked: Sequence[say.Asked],
        request: Request,
        at: datetime,
        *,
        until: float,
        must_be_known: bool,
    ) -> tuple[bool, list[Accepted]]:
        clock = asyncio.get_running_loop().time
        places = await self._places(asked, request.caller)
        if must_be_known:
            places = [await self._known(place, seconds=until - clock()) for place in places]
        events = [told(event) for event in _events(asked, places, request, at)]
        if not request.wait:
            await self._publish(events)
            return False, [accepted(one, request.status_path) for one in events]
        wanted = [(one.event.event_id, version.feedback_id) for one in events for version in one.versions]
        with self.hub.expect(wanted) as expected:
            await self._publish(events)
            if expected is not None and await expected.wait(max(0, until - clock())):
                return True, [with_receipts(one, request.status_path, expected) for one in events]
        answers = [accepted(one, request.status_path) for one in events]
        return await self._look(events, answers), answers

    async def _places(self, asked: Sequence[say.Asked], caller: Caller) -> list[say.About]:
        """Say what each is about, with both ids where they can be known; each is looked for once."""
        if isinstance(caller, PageCaller):
            allowed = say.granted(caller)
            if not allowed.is_complete:
                allowed = await self.references.complete(allowed)
            return [say.about(one, allowed) for one in asked]
        places = [say.about(one, None) for one in asked]
        wanted = list(dict.fromkeys(places))
        found = await asyncio.gather(*map(self.references.complete, wanted))
        complete = dict(zip(wanted, found, strict=True))
        return [complete[place] for place in places]

    def _time_of(self, request: Request, now: datetime) -> datetime:
        if request.key is None or request.digest is None:
            return now
        return self._seen.time_of(request.caller.name, request.key, request.digest, now=now)

    async def _publish(self, events: Sequence[Told]) -> None:
        await self.door.publish(*(one.event for one in events))
        self.metrics.published(len(events))
        for one in events:
            for version in one.versions:
                self._remembered.add(version.feedback_id, one.event.event_id, one.event.reference)

    async def _look(self, events: Sequence[Told], answers: Sequence[Accepted]) -> bool:
        """Ask the table once, when receipts have not come: they may have come before we read."""
        try:
            found = await standings(self.pool, [item.feedback_id for one in answers for item in one.feedback])
        except DependencyAwayError:
            return False
        for one, answer in zip(events, answers, strict=True):
            for item in answer.feedback:
                stands = found.get(item.feedback_id)
                if stands is not None:
                    status = stands.of_event(one.event.event_id, one.event.submitted_at, is_ours=True)
                    item.status, item.reason = status.status, status.reason
                    item.trace_id, item.assessment_id = status.trace_id, status.assessment_id
            if all(item.status in STATES.values() for item in answer.feedback):
                answer.status = "settled"
        return all(answer.status == "settled" for answer in answers)

    async def status(
        self, feedback_id: UUID, event: tuple[UUID, datetime | None] | None, caller: Caller
    ) -> StatusAnswer:
        """Say what stands of a feedback, or what became of one event about it.

        Args:
            feedback_id: which.
            event: its id, and when it was submitted where that is known; None for what stands.
            caller: who asks.

        Raises:
            ProblemError: 404, also for another request than the token's; 503 when Postgres is away.

        """
        try:
            stands = (await standings(self.pool, [feedback_id])).get(feedback_id)
        except DependencyAwayError:
            raise away(NO_POSTGRES) from None
        remembered = self._remembered.get(feedback_id)
        if stands is not None and _may_see(caller, stands.client_request_id, stands.answer.trace_id):
            if event is None:
                return stands.answer
            return stands.of_event(*event, is_ours=remembered is not None and remembered[0] == event[0])
        if stands is None and remembered and _may_see(caller, remembered[1], remembered[1]):
            return StatusAnswer(feedback_id=feedback_id, status="accepted", event_id=remembered[0])
        raise ProblemError(404, "no such feedback; what was just accepted may take a moment")

    async def _known(self, place: say.About, *, seconds: float) -> say.About:
        """Find the trace of a request, for those who want to know at once whether there is one."""
        request_id = place.client_request_id
        if request_id is None or place.trace_id is not None:
            return place
        found = await self.references.find(request_id, seconds=seconds)
        if found is None:
            raise ProblemError(404, f"Unable to find data for client request ID: {request_id}")
        return say.About(request_id, found)


def _may_see(caller: Caller, *about: str | None) -> bool:
    if not isinstance(caller, PageCaller):
        return True
    return bool({caller.grant.client_request_id, caller.grant.trace_id} - {None} & set(about))


def _events(
    asked: Sequence[say.Asked], places: Sequence[say.About], request: Request, at: datetime
) -> list[FeedbackEvent]:
    events: list[FeedbackEvent] = []
    for index, (one, place) in enumerate(zip(asked, places, strict=True)):
        key = request.key
        event_id = uuid4() if key is None else say.event_id_of(request.caller.name, key, index)
        # Those of one request in their order: of two about the same feedback the later one counts.
        stamp = say.Stamp(event_id, at + timedelta(microseconds=index))
        events.append(say.event(one, request.caller, place, stamp))
    return events
