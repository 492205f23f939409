"""Answers under traces: what MLflow and Kafka are told of each."""

import asyncio
from contextlib import aclosing, suppress
from datetime import UTC, datetime
from typing import Any, Final

import mlflow
import structlog
from mlflow.entities import LiveSpan, SpanType

from apps.chat.asked import Asked
from apps.chat.model import Model
from apps.chat.settings import ChatSettings
from apps.chat.streams import Stream
from apps.feedback_api import FeedbackApi
from apps.feedback_api.problems import ProblemError
from contracts.parse import ContractError

log = structlog.get_logger(__name__)

NAMES: Final = (
    "user_feedback",
    "response_is_correct",
    "user_accuracy",
    "user_helpfulness",
    "user_relevance",
)
"""What a page may say of an answer."""

_UNTOLD: Final = 1000
_SORRY: Final = "the answer could not be made; try again"


class Answering:
    """Asks the model, writes the trace, and tells Kafka of it.

    Args:
        api: of the feedback routes; gives tokens, and the way into Kafka.
        settings: of the chat.
        model: for `POST /chat`.
        streaming: for `POST /chat/stream`.

    """

    def __init__(self, api: FeedbackApi, settings: ChatSettings, model: Model, streaming: Model) -> None:
        self._api = api
        self._settings = settings
        self._model = model
        self._streaming = streaming
        self._telling: set[asyncio.Task[None]] = set()

    async def answer(self, asked: Asked) -> dict[str, str]:
        """Answer at once.

        Raises:
            ProblemError: 503 when the model gives no answer.

        """
        try:
            with mlflow.start_span("chat", span_type=SpanType.CHAIN) as span:
                self._begin(span, asked, {})
                async with (
                    asyncio.timeout(self._settings.answer_seconds),
                    aclosing(self._model.answer(asked.message)) as tokens,
                ):
                    response = "".join([token async for token in tokens])
                span.set_outputs({"response": response})
        except Exception as error:
            log.exception("answer_failed", client_request_id=asked.client_request_id)
            raise ProblemError(503, _SORRY, headers={"Retry-After": "5"}) from error
        return {"response": response, **self._done(asked, span.trace_id)}

    async def stream(self, asked: Asked, stream: Stream) -> None:
        """Answer token by token; an error becomes the last event, without what it was."""
        try:
            done = await self._stream(asked, stream)
        except asyncio.CancelledError:
            log.info("stream_left", client_request_id=asked.client_request_id)
            stream.end({"type": "error", "error": "the stream has ended"})
            raise
        except Exception:
            log.exception("answer_failed", client_request_id=asked.client_request_id)
            stream.end({"type": "error", "error": _SORRY})
        else:
            stream.end({"type": "done", **done})

    async def _stream(self, asked: Asked, stream: Stream) -> dict[str, str]:
        said: list[str] = []
        with mlflow.start_span("streaming_chat", span_type=SpanType.CHAIN) as span:
            began = {
                "request_message": asked.message[:8000],
                "stream_start_time": datetime.now(UTC).isoformat(),
            }
            self._begin(span, asked, began)
            try:
                async with (
                    asyncio.timeout(self._settings.answer_seconds),
                    # At once, not when somebody collects the garbage.
                    aclosing(self._streaming.answer(asked.message)) as tokens,
                ):
                    async for token in tokens:
                        said.append(token)
                        await stream.token(token)
            except BaseException as error:
                left = isinstance(error, asyncio.CancelledError)
                span.set_attribute("error", "the client left" if left else repr(error))
                raise
            finally:
                response = "".join(said)
                span.set_attributes({"response": response, "token_count": len(said)})
                span.set_outputs({"response": response})
        done = self._done(asked, span.trace_id)
        return {key: done[key] for key in ("trace_id", "client_request_id", "feedback_token")}

    def _begin(self, span: LiveSpan, asked: Asked, more: dict[str, str]) -> None:
        span.set_inputs({"message": asked.message})
        mlflow.update_current_trace(
            client_request_id=asked.client_request_id,
            tags={"service": "sample-chat", "model": self._streaming.name},
            metadata={
                "mlflow.trace.session": asked.session_id,
                "mlflow.trace.user": asked.user_id,
                "mlflow.source.type": self._settings.environment,
                **self._settings.segment,
                **more,
            },
        )

    def _done(self, asked: Asked, trace_id: str) -> dict[str, str]:
        """Tell Kafka, beside: an answer does not wait for it, and the trace says the same."""
        self._api.references.know(asked.client_request_id, trace_id)
        if len(self._telling) < _UNTOLD:
            task = asyncio.create_task(self._tell(asked, trace_id))
            self._telling.add(task)
            task.add_done_callback(self._telling.discard)
        else:
            log.warning("chat_not_told", why="too many wait", client_request_id=asked.client_request_id)
        token = self._api.token(
            client_request_id=asked.client_request_id,
            trace_id=trace_id,
            user=asked.person,
            names=NAMES,
        )
        return {"trace_id": trace_id, **asked.ids, "feedback_token": token}

    async def _tell(self, asked: Asked, trace_id: str) -> None:
        fields: dict[str, Any] = {
            "trace_id": trace_id,
            **asked.ids,
            **self._settings.segment,
            "tags": {"service": "sample-chat", "model": self._streaming.name},
        }
        try:
            await self._api.door.chat_completed(**fields)
        except (ProblemError, ContractError) as error:
            log.warning("chat_not_told", why=str(error), client_request_id=asked.client_request_id)

    async def close(self) -> None:
        """Tell what is left to tell, and have the traces exported."""
        if self._telling:
            await asyncio.wait(self._telling, timeout=self._api.api.publish_seconds)
        for model in {self._model, self._streaming}:
            await model.close()
        with suppress(Exception):
            await asyncio.to_thread(mlflow.flush_trace_async_logging)
