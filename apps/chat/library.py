"""The project's own documents, in passages, found by BM25."""

import re
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from functools import cache
from importlib.resources import files
from importlib.resources.abc import Traversable
from pathlib import Path
from typing import Any, Final

import bm25s
from bm25s.tokenization import tokenize

_HEADING: Final = re.compile(r"^#{1,4} +(.*)$")
_SHORTEST: Final = 60
_ROOT: Final = Path(__file__).parents[2]


@dataclass(frozen=True, slots=True)
class Passage:
    """A paragraph, table or list of a document."""

    document: str
    heading: str
    text: str


class Library:
    """Passages, and an index over them."""

    def __init__(self, passages: Sequence[Passage]) -> None:
        self._passages = tuple(passages)
        self._index = bm25s.BM25()
        texts = [f"{passage.heading} {passage.heading} {passage.text}" for passage in passages]
        self._index.index(_tokens(texts), show_progress=False)

    def find(self, question: str, count: int = 3) -> list[tuple[Passage, float]]:
        """Give the passages that answer best, with their scores; each shares a word with the question."""
        (words,) = _tokens([question])
        if not words:
            return []
        scores = self._index.get_scores(words)
        best = sorted(enumerate(scores.tolist()), key=lambda pair: -pair[1])[:count]
        return [(self._passages[number], round(score, 3)) for number, score in best if score > 0]


def _tokens(texts: Sequence[str]) -> list[list[str]]:
    found: Any = tokenize(list(texts), stopwords="en", return_ids=False, show_progress=False)
    return list(found)


@cache
def own_library() -> Library:
    """Give the project's documents: those of the repository, or those that travel in the package."""
    return Library([passage for document in documents() for passage in passages_of(document)])


def documents() -> list[Traversable]:
    """Give the documents: README.md and docs/*.md."""
    packed = files("apps.chat").joinpath("knowledge")
    if packed.is_dir():
        return sorted(
            (item for item in packed.iterdir() if item.name.endswith(".md")), key=lambda item: item.name
        )
    return [_ROOT / "README.md", *sorted((_ROOT / "docs").glob("*.md"))]


def passages_of(document: Traversable) -> Iterator[Passage]:
    """Cut a document at its blank lines; code and what is very short is left out."""
    heading, is_code = document.name, False
    for block in re.split(r"\n\s*\n", document.read_text(encoding="utf-8")):
        lines = []
        for line in block.splitlines():
            if line.startswith("```"):
                is_code = not is_code
            elif found := _HEADING.match(line):
                heading = found[1]
            elif not is_code and not line.startswith("    "):
                lines.append(line.strip())
        text = " ".join(lines)
        if len(text) >= _SHORTEST:
            yield Passage(document.name, heading, text)
