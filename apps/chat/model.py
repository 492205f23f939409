"""The model behind the chat: a small port, and the one that needs nothing but this package."""

import asyncio
import re
from collections.abc import AsyncGenerator, Sequence
from typing import Final, Protocol

import mlflow
from mlflow.entities import Document, SpanType

from apps.chat.library import Library, Passage

_LONGEST: Final = 600
_NOTHING: Final = "I find nothing on that in this project's documentation."


class Model(Protocol):
    """Answers a message, token by token, under the trace that is active."""

    name: str

    def answer(self, message: str) -> AsyncGenerator[str]:
        """Give the answer's tokens as they come."""

    async def close(self) -> None:
        """Let go of connections."""


def retrieve(library: Library, message: str) -> list[Passage]:
    """Find what the documents say, under a span that shows it."""
    with mlflow.start_span("retrieve", span_type=SpanType.RETRIEVER) as span:
        span.set_inputs({"query": message})
        found = library.find(message)
        span.set_outputs(
            [
                Document(
                    page_content=passage.text,
                    metadata={"doc_uri": passage.document, "heading": passage.heading, "score": score},
                    id=f"{passage.document}#{number}",
                )
                for number, (passage, score) in enumerate(found)
            ]
        )
    return [passage for passage, _ in found]


class LocalModel:
    """Says what the project's own documents say, and where; it makes nothing up.

    Args:
        library: the documents.
        word_seconds: how long it waits between two words.

    """

    name = "local-bm25"

    def __init__(self, library: Library, *, word_seconds: float) -> None:
        self._library = library
        self._pause = word_seconds

    async def answer(self, message: str) -> AsyncGenerator[str]:
        """Give the best passage word by word, with where it stands."""
        for word in re.findall(r"\S+\s*", _said(retrieve(self._library, message))):
            yield word
            await asyncio.sleep(self._pause)

    async def close(self) -> None:
        """Do nothing: there are none."""


def _said(found: Sequence[Passage]) -> str:
    if not found:
        return _NOTHING
    best = found[0]
    text = best.text if len(best.text) <= _LONGEST else best.text[:_LONGEST].rsplit(" ", 1)[0] + " …"
    return f"{text}\n\nFrom {best.document}, “{best.heading}”."
