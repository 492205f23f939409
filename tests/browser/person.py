"""What a person does on the page, and what MLflow holds of it in the end."""

import json
from collections.abc import Awaitable, Callable
from dataclasses import dataclass
from typing import Any, Final

import mlflow
from playwright.async_api import BrowserContext, Locator, Page, expect
from support.apps import is_whole, root_of
from support.waiting import wait_until
from support.world import assessments, value_of

from consumers.settings import Settings

QUESTION: Final = "How does each feedback become exactly one assessment?"
_LOGGED_SECONDS: Final = 40

Said = dict[str, tuple[Any, str]]
"""By name: the value, and the comment or nothing."""

Visit = Callable[..., Awaitable[BrowserContext]]
"""Makes a browser that has never been here, with the options of a Playwright context."""


@dataclass(frozen=True, slots=True)
class Person:
    """Somebody before the chat."""

    page: Page
    settings: Settings

    @property
    def good(self) -> Locator:
        """The thumb up of the newest answer."""
        return self.page.get_by_role("button", name="Good answer").last

    @property
    def bad(self) -> Locator:
        """The thumb down of the newest answer."""
        return self.page.get_by_role("button", name="Bad answer").last

    def button(self, name: str) -> Locator:
        """Give a button by what it says."""
        return self.page.get_by_role("button", name=name, exact=True)

    async def ask(self, question: str = QUESTION) -> str:
        """Ask, and wait for the whole answer; gives its trace id."""
        await self.send(question)
        return await self.answered()

    async def send(self, question: str = QUESTION) -> None:
        """Ask, and wait for nothing."""
        await self.page.get_by_label("Message").fill(question)
        await self.page.get_by_label("Message").press("Enter")

    async def answered(self) -> str:
        """Wait for the whole answer; gives its trace id."""
        await expect(self.good).to_be_visible()
        return str((await self.turns())[-1]["feedback"]["traceId"])

    async def turns(self) -> list[dict[str, Any]]:
        """Give the conversation, as the tab keeps it."""
        user = "new URLSearchParams(location.search).get('user')"
        key = f"['feedback.chat.streamed', {user}].filter(Boolean).join('.')"
        return list(json.loads(await self.page.evaluate(f"sessionStorage.getItem({key})")))

    async def rate(self, dimension: str, rating: int) -> None:
        """Rate one dimension; the ratings are open."""
        group = self.page.get_by_role("group", name=dimension)
        await group.get_by_role("radio", name=str(rating), exact=True).check()

    async def comment(self, text: str) -> None:
        """Write a comment to a thumb that was given."""
        await (
            self.page.get_by_role("textbox", name="about it")
            .or_(self.page.get_by_role("textbox", name="wrong with it"))
            .fill(text)
        )
        await self.button("Save comment").click()

    async def is_thanked(self) -> None:
        """Wait for the thanks."""
        await expect(self.page.get_by_text("Thank you for your feedback.")).to_be_visible()

    async def sees_logged(self, trace_id: str, expected: Said) -> None:
        """Wait until MLflow holds this of a trace, and nothing else."""
        found: list[dict[str, Any]] = []

        def is_there() -> bool:
            found[:] = [one for one in assessments(self.settings) if one["trace_id"] == trace_id]
            return len(found) == len(expected) and said(found) == expected

        try:
            await wait_until(is_there, seconds=_LOGGED_SECONDS, what=f"MLflow holds {expected}")
        except AssertionError as error:
            message = f"{error}; it holds {said(found)}"
            raise AssertionError(message) from None


def said(found: list[dict[str, Any]]) -> Said:
    """Give what assessments say, by their names."""
    return {
        one["assessment_name"]: (value_of(one), one.get("rationale") or "")
        for one in found
        if one["source"]["source_type"] == "HUMAN"
    }


async def response_of(trace_id: str) -> str:
    """Give the answer that a trace holds, once all of it is there."""
    await wait_until(lambda: is_whole(mlflow.get_trace(trace_id)), seconds=_LOGGED_SECONDS, what="the trace")
    return str(root_of(mlflow.get_trace(trace_id)).attributes["response"])
