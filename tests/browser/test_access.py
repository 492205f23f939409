"""The pages for everybody: by keyboard alone, on a narrow screen, and without what axe finds fault with."""

from pathlib import Path
from typing import Any, Final, Literal

import pytest
from playwright.async_api import Page, expect

from browser.person import QUESTION, Person, Visit
from consumers.settings import Settings

_AXE: Final = Path(__file__).parents[2] / "apps" / "web" / "node_modules" / "axe-core" / "axe.min.js"
_NARROW: Final = 320
_MOST_TABS: Final = 30


async def violations(page: Page) -> list[Any]:
    """Give what axe finds on a page, each with where."""
    # Not as a script of the page, which its policy forbids.
    await page.evaluate(_AXE.read_text())
    found = await page.evaluate("axe.run(document, {resultTypes: ['violations']})")
    return [(one["id"], [node["target"] for node in one["nodes"]]) for one in found["violations"]]


@pytest.mark.parametrize("scheme", ["light", "dark"])
@pytest.mark.parametrize("width", [1280, _NARROW])
async def test_axe_finds_nothing(
    scheme: Literal["light", "dark"], width: int, visit: Visit, world: Settings
) -> None:
    context = await visit(
        color_scheme=scheme, reduced_motion="reduce", viewport={"width": width, "height": 800}
    )
    person = Person(await context.new_page(), world)
    await person.page.goto("/")
    await expect(person.page.get_by_role("list", name="Suggested questions")).to_be_visible()
    assert await violations(person.page) == []
    await person.ask()
    await person.send()
    await expect(person.page.get_by_role("button", name="Good answer")).to_have_count(2)
    trace = (await person.turns())[-1]["feedback"]["traceId"]
    await person.bad.click()
    await person.button("Rate in detail").last.click()
    await person.rate("accuracy", 3)
    await person.is_thanked()
    assert await violations(person.page) == []
    assert await _overflow(person.page) == 0
    await person.page.get_by_role("link", name="Insights").click()
    await expect(person.page.get_by_role("img", name="Positive rate over the last")).to_be_visible()
    assert await violations(person.page) == []
    assert await _overflow(person.page) == 0
    await person.sees_logged(trace, {"user_feedback": (False, ""), "user_accuracy": (0.6, "")})


async def _overflow(page: Page) -> int:
    return int(await page.evaluate("document.documentElement.scrollWidth - window.innerWidth"))


async def test_all_of_it_by_keyboard(person: Person) -> None:
    page = person.page
    await _tab_to(page, "Message")
    await page.keyboard.type(QUESTION)
    await page.keyboard.press("Enter")
    trace = await person.answered()
    await _tab_to(page, "Bad answer", back=True)
    await page.keyboard.press("Space")
    await _tab_to(page, "What was wrong with it?")
    await page.keyboard.type("By keyboard.")
    await page.keyboard.press("Control+Enter")
    await expect(person.button("Edit comment")).to_be_focused()
    await _tab_to(page, "Rate in detail", back=True)
    await page.keyboard.press("Enter")
    await _tab_to(page, "1")
    await page.keyboard.press("Space")
    await page.keyboard.press("ArrowRight")
    await page.keyboard.press("ArrowRight")
    await person.sees_logged(trace, {"user_feedback": (False, "By keyboard."), "user_accuracy": (0.6, "")})
    await _tab_to(page, "Undo", back=True)
    await page.keyboard.press("Enter")
    await expect(person.good).to_be_focused()
    await person.sees_logged(trace, {})


async def _tab_to(page: Page, name: str, *, back: bool = False) -> None:
    """Press Tab until what has this name has the focus."""
    wanted = page.get_by_label(name, exact=True).or_(page.get_by_role("button", name=name, exact=True))
    for _ in range(_MOST_TABS):
        if await wanted.and_(page.locator(":focus")).count():
            return
        await page.keyboard.press("Shift+Tab" if back else "Tab")
    pytest.fail(f"no way by Tab to {name!r}")
