"""The pictures in docs/screenshots, of a demo that runs: ``.venv/bin/python tests/browser/screenshots.py``.

It asks, rates and comments as a person would, and then looks at MLflow's page of that trace. The
demo's address may be given.
"""

import asyncio
import sys
from pathlib import Path
from typing import Final

from playwright.async_api import Browser, Page, async_playwright

FOLDER: Final = Path(__file__).parents[2] / "docs" / "screenshots"
ADDRESS: Final = sys.argv[1] if len(sys.argv) > 1 else "http://127.0.0.1:8000"
WIDE: Final = {"width": 1180, "height": 860}
NARROW: Final = {"width": 390, "height": 844}
_MLFLOW: Final = {"width": 1560, "height": 920}
COMMENT: Final = "Where is the picture of it?"
_CHROMIUM: Final = "/usr/bin/chromium"


async def main() -> None:
    """Take all of them."""
    async with async_playwright() as playwright:
        browser = await playwright.chromium.launch(executable_path=_CHROMIUM, args=["--no-sandbox"])
        await chat(browser, "light", WIDE, "chat-light")
        await chat(browser, "dark", WIDE, "chat-dark")
        await chat(browser, "light", NARROW, "chat-narrow")
        await insights(browser, "light", WIDE, "insights-light")
        await insights(browser, "dark", WIDE, "insights-dark")
        await insights(browser, "dark", NARROW, "insights-narrow")
        await mlflow(browser)
        await browser.close()


async def chat(browser: Browser, scheme: str, size: dict[str, int], name: str) -> None:
    """Ask, thumb down with a comment, rate."""
    page = await _page(browser, scheme, size)
    await page.goto(ADDRESS)
    await page.get_by_role("textbox").first.fill("How does each feedback become exactly one assessment?")
    await page.keyboard.press("Enter")
    await page.get_by_role("button", name="Bad answer").click(timeout=60_000)
    await page.get_by_role("textbox", name="wrong with it").fill(COMMENT)
    await page.get_by_role("button", name="Save comment").click()
    await page.get_by_role("button", name="Rate in detail").click()
    for dimension, rating in (("accuracy", "4"), ("helpfulness", "2"), ("relevance", "5")):
        group = page.get_by_role("group", name=dimension)
        await group.get_by_role("radio", name=rating, exact=True).check()
    await page.wait_for_timeout(1500)
    await page.screenshot(path=FOLDER / f"{name}.png")


async def insights(browser: Browser, scheme: str, size: dict[str, int], name: str) -> None:
    """Look at Insights."""
    page = await _page(browser, scheme, size)
    await page.goto(f"{ADDRESS}/insights")
    await page.get_by_role("img", name="Positive rate").wait_for()
    await page.wait_for_timeout(1000)
    await page.screenshot(path=FOLDER / f"{name}.png")


async def mlflow(browser: Browser) -> None:
    """Look at MLflow's page of the last trace that was commented."""
    page = await _page(browser, "light", WIDE)
    await page.goto(f"{ADDRESS}/insights")
    link = page.get_by_role("listitem").filter(has_text=COMMENT).first.get_by_role("link")
    address = await link.get_attribute("href")
    page = await _page(browser, "light", _MLFLOW)
    await page.goto(str(address))
    # Not by role: a hint of MLflow's lies over all of it.
    for label in ("Full screen", "Assess trace"):
        button = page.locator(f'button[aria-label^="{label}"]')
        await button.wait_for(timeout=60_000)
        await button.dispatch_event("click")
    await page.get_by_text("user_relevance").last.wait_for(timeout=60_000)
    await page.wait_for_timeout(3000)
    await page.screenshot(path=FOLDER / "mlflow-trace.png")


async def _page(browser: Browser, scheme: str, size: dict[str, int]) -> Page:
    context = await browser.new_context(viewport=size, color_scheme=scheme)  # type: ignore[arg-type]  # as named
    return await context.new_page()


if __name__ == "__main__":
    asyncio.run(main())
