"""A chat service as any team's: it answers, leaves a trace in MLflow, and tells that it has answered."""

import asyncio
from dataclasses import dataclass
from typing import Final
from uuid import uuid4
from zlib import crc32

import mlflow
from mlflow.entities import SpanType

from apps.chat.samples import answer_to
from contracts.publisher import FeedbackPublisher

_VERSIONS: Final = (("1.4.2", "blue"), ("1.4.1", "green"), ("1.4.2", "blue"))
_REGIONS: Final = ("eu-central", "us-east")


def segment_of(session_id: str) -> dict[str, str]:
    """Say which deployment answers a session: the newest version two of three, in either region."""
    number = crc32(session_id.encode())
    app_version, deployment_id = _VERSIONS[number % len(_VERSIONS)]
    return {
        "environment": "demo",
        "app_version": app_version,
        "deployment_id": deployment_id,
        "region": _REGIONS[number // len(_VERSIONS) % len(_REGIONS)],
    }


@dataclass(frozen=True, slots=True, kw_only=True)
class Chat:
    """One request to answer."""

    message: str
    user_id: str
    session_id: str
    client_request_id: str


@dataclass(frozen=True, slots=True, kw_only=True)
class Answer:
    """What the service said, and the trace that it left."""

    response: str
    client_request_id: str
    trace_id: str


def new_request_id() -> str:
    """Make a client request id."""
    return f"req-{uuid4().hex}"


class ChatService:
    """Answers chats; the traces go where MLflow's own settings say."""

    def __init__(self, publisher: FeedbackPublisher) -> None:
        self._publisher = publisher

    async def answer(self, chat: Chat) -> Answer:
        """Answer, leave a trace, and publish `ChatCompleted`."""
        answer = await asyncio.to_thread(traced_answer, chat)
        await self._publisher.chat_completed(
            client_request_id=chat.client_request_id,
            trace_id=answer.trace_id,
            session_id=chat.session_id,
            user_id=chat.user_id,
            **segment_of(chat.session_id),
        )
        return answer


def traced_answer(chat: Chat) -> Answer:
    """Answer under a trace that carries the request id, the session, the user and the segment."""
    with mlflow.start_span("chat", span_type=SpanType.CHAIN) as span:
        span.set_inputs({"message": chat.message})
        mlflow.update_current_trace(
            client_request_id=chat.client_request_id,
            metadata={
                "mlflow.trace.session": chat.session_id,
                "mlflow.trace.user": chat.user_id,
                **segment_of(chat.session_id),
            },
        )
        response = answer_to(chat.message)
        span.set_outputs({"response": response})
        return Answer(response=response, client_request_id=chat.client_request_id, trace_id=span.trace_id)
