"""A model behind any OpenAI-compatible endpoint, with what the documents say beside the question."""

from collections.abc import AsyncGenerator, Sequence
from typing import Final

import mlflow
import mlflow.openai
from mlflow.entities import LiveSpan, SpanStatusCode, SpanType
from mlflow.tracing.trace_manager import InMemoryTraceManager
from openai import AsyncOpenAI

from apps.chat.library import Library, Passage
from apps.chat.model import retrieve

_SYSTEM: Final = (
    "You answer questions about a software project. Use only the passages below; say so when they do not "
    "answer the question. Be short."
)


class OpenAiModel:
    """Streams from the endpoint; MLflow traces its calls."""

    def __init__(self, library: Library, *, url: str, key: str, model: str) -> None:
        mlflow.openai.autolog()
        self.name = model
        self._library = library
        self._client = AsyncOpenAI(base_url=url, api_key=key, max_retries=1)

    async def answer(self, message: str) -> AsyncGenerator[str]:
        """Give the answer as the endpoint streams it."""
        found = retrieve(self._library, message)
        stream = await self._client.chat.completions.create(
            model=self.name,
            stream=True,
            messages=[
                {"role": "system", "content": _prompt(found)},
                {"role": "user", "content": message},
            ],
        )
        try:
            # Who leaves ends the endpoint's work as well.
            async with stream:
                async for chunk in stream:
                    if chunk.choices and (text := chunk.choices[0].delta.content):
                        yield text
        finally:
            _end_call(mlflow.get_current_active_span())

    async def close(self) -> None:
        """Let go of connections."""
        await self._client.close()


def _end_call(above: LiveSpan | None) -> None:
    """End the call's span where MLflow does not: of a stream that is left it waits for the end for ever.

    A trace with an open span is never exported, and never forgotten.
    """
    if above is None:
        return
    with InMemoryTraceManager.get_instance().get_trace(above.trace_id) as trace:
        spans = list(trace.span_dict.values()) if trace else []
    for span in spans:
        if span.span_type == SpanType.CHAT_MODEL and span.end_time_ns is None:
            span.end(status=SpanStatusCode.ERROR)


def _prompt(found: Sequence[Passage]) -> str:
    passages = "\n\n".join(f"[{p.document}, {p.heading}]\n{p.text}" for p in found)
    return f"{_SYSTEM}\n\n{passages}"
