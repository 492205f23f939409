"""A person asks, and says what they think of the answer: each test ends by asking MLflow what it holds."""

import asyncio
import re
import signal
from collections.abc import Callable

from chaos.proxy import Proxy
from playwright.async_api import BrowserContext, expect
from support.stack import Stack
from support.waiting import wait_until

from browser.person import Person, Visit
from consumers.settings import Settings
from local import stack as local_stack


async def test_a_thumb_up_is_one_assessment(person: Person) -> None:
    await person.send()
    await expect(person.button("Send")).to_be_disabled()
    trace = await person.answered()
    await person.good.click()
    await person.is_thanked()
    await person.sees_logged(trace, {"user_feedback": (True, "")})


async def test_an_answer_that_comes_whole_is_rated_the_same_way(person: Person) -> None:
    await person.page.get_by_label("Show answers word by word").uncheck()
    await person.send()
    await expect(person.good).to_be_visible()
    turns = await person.page.evaluate("JSON.parse(sessionStorage.getItem('feedback.chat.whole'))")
    await person.bad.click()
    await person.sees_logged(turns[0]["feedback"]["traceId"], {"user_feedback": (False, "")})


async def test_a_thumb_that_is_turned_down_with_a_comment_is_the_same_assessment(person: Person) -> None:
    trace = await person.ask()
    await person.good.click()
    await person.sees_logged(trace, {"user_feedback": (True, "")})
    await person.bad.click()
    await person.comment("The last step is missing.")
    await person.sees_logged(trace, {"user_feedback": (False, "The last step is missing.")})
    await person.good.click()
    await person.sees_logged(trace, {"user_feedback": (True, "")})


async def test_what_is_taken_back_is_gone(person: Person) -> None:
    trace = await person.ask()
    await person.good.click()
    await person.sees_logged(trace, {"user_feedback": (True, "")})
    await person.button("Undo").click()
    await expect(person.page.get_by_text("Your feedback was taken back.")).to_be_visible()
    await person.sees_logged(trace, {})


async def test_ratings_are_fifths(person: Person) -> None:
    trace = await person.ask()
    await person.button("Rate in detail").click()
    await person.rate("accuracy", 4)
    await person.rate("helpfulness", 2)
    await person.rate("relevance", 5)
    await person.rate("helpfulness", 1)
    await person.sees_logged(
        trace, {"user_accuracy": (0.8, ""), "user_helpfulness": (0.2, ""), "user_relevance": (1.0, "")}
    )


async def test_a_double_click_is_one_assessment(person: Person) -> None:
    trace = await person.ask()
    await person.good.dblclick()
    await person.is_thanked()
    await person.sees_logged(trace, {"user_feedback": (True, "")})


async def test_clicks_one_after_the_other_end_as_the_last(person: Person) -> None:
    trace = await person.ask()
    for _ in range(3):
        await person.bad.click()
        await person.good.click()
    await person.bad.click()
    await person.is_thanked()
    await person.sees_logged(trace, {"user_feedback": (False, "")})


async def test_somebody_who_is_signed_in_is_the_source(person: Person) -> None:
    await person.page.goto("/?user=alice")
    trace = await person.ask()
    await person.good.click()
    await person.sees_logged(trace, {"user_feedback": (True, "")})
    assert await _sources(person, trace) == [{"source_type": "HUMAN", "source_id": "alice"}]


async def test_somebody_who_is_not_signed_in_is_nobody_for_each_of_their_answers(person: Person) -> None:
    first = await person.ask()
    await person.good.click()
    await person.sees_logged(first, {"user_feedback": (True, "")})
    await person.send()
    await expect(person.page.get_by_role("button", name="Good answer")).to_have_count(2)
    second = (await person.turns())[-1]["feedback"]["traceId"]
    await person.bad.click()
    await person.good.click()
    await person.sees_logged(second, {"user_feedback": (True, "")})
    assert await _sources(person, first) == await _sources(person, second) == [{"source_type": "HUMAN"}]


async def _sources(person: Person, trace: str) -> list[dict[str, str]]:
    url = f"{person.settings.mlflow_tracking_uri}/api/3.0/mlflow/traces/{trace}"
    info = (await (await person.page.request.get(url)).json())["trace"]["trace_info"]
    return [one["source"] for one in info["assessments"]]


async def test_the_conversation_and_what_was_said_survive_a_reload(person: Person) -> None:
    trace = await person.ask()
    await person.good.click()
    await person.is_thanked()
    await person.page.reload()
    await expect(person.good).to_have_attribute("aria-pressed", "true")
    await person.bad.click()
    await person.sees_logged(trace, {"user_feedback": (False, "")})


async def test_two_tabs_speak_of_one_assessment(person: Person, context: BrowserContext) -> None:
    trace = await person.ask()
    await person.good.click()
    await person.is_thanked()
    async with context.expect_page() as opened:
        await person.page.evaluate("void window.open(location.href)")
    other = Person(await opened.value, person.settings)
    await expect(other.good).to_have_attribute("aria-pressed", "true")
    await other.bad.click()
    await other.is_thanked()
    await expect(person.bad).to_have_attribute("aria-pressed", "true")
    await person.sees_logged(trace, {"user_feedback": (False, "")})


async def test_while_kafka_is_away_nothing_is_pretended_and_nothing_is_lost(
    person: Person, signal_kafka: Callable[[int], object]
) -> None:
    trace = await person.ask()
    await person.good.click()
    await person.sees_logged(trace, {"user_feedback": (True, "")})
    signal_kafka(signal.SIGSTOP)
    await person.bad.click()
    await expect(person.page.get_by_text("Your feedback was not saved.")).to_be_visible()
    await expect(person.good).to_have_attribute("aria-pressed", "true")
    await person.page.reload()
    await expect(person.page.get_by_text("Your feedback was not saved.")).to_be_visible()
    signal_kafka(signal.SIGCONT)
    await person.button("Try again").click()
    await expect(person.bad).to_have_attribute("aria-pressed", "true")
    await person.is_thanked()
    await person.sees_logged(trace, {"user_feedback": (False, "")})


async def test_kafka_that_ends_and_comes_back_is_waited_for(person: Person, stack: Stack) -> None:
    async def is_ready() -> bool:
        return (await person.page.request.get("/readyz")).status == 200

    trace = await person.ask()
    await person.good.click()
    await person.sees_logged(trace, {"user_feedback": (True, "")})
    local_stack.kill_part(stack.home, "kafka")
    try:
        await person.bad.click()
        await expect(person.page.get_by_text("Your feedback was not saved.")).to_be_visible()
        await expect(person.good).to_have_attribute("aria-pressed", "true")
    finally:
        await asyncio.to_thread(local_stack.start_part, stack.home, "kafka")
    await wait_until(is_ready, seconds=30, what="the service takes feedback again")
    await person.button("Try again").click()
    await person.is_thanked()
    await person.sees_logged(trace, {"user_feedback": (False, "")})


async def test_what_could_not_be_sent_is_sent_after_a_reload(person: Person, proxy: Proxy) -> None:
    trace = await person.ask()
    await person.page.route("**/v1/feedback", lambda route: route.abort())
    await person.bad.click()
    await expect(person.page.get_by_text("Your feedback was not saved.")).to_be_visible()
    await person.page.unroute("**/v1/feedback")
    proxy.cut()
    await person.page.reload()
    await person.is_thanked()
    await person.sees_logged(trace, {"user_feedback": (False, "")})


async def test_insights_show_it_by_themselves(visit: Visit, person: Person, world: Settings) -> None:
    insights = await (await visit()).new_page()
    await insights.goto("/insights")
    await expect(insights.get_by_text("Live from the receipts")).to_be_visible()
    trace = await person.ask()
    await person.bad.click()
    comment = f"Seen live in {world.topic_prefix}"
    await person.comment(comment)
    shown = insights.get_by_role("listitem").filter(has_text=comment)
    await expect(shown).to_be_visible()
    await expect(shown.get_by_role("link")).to_have_attribute("href", _containing(trace))
    for label in ("15 min", "24 hours", "7 days"):
        async with insights.expect_response("**/v1/insights?*") as answered:
            await insights.get_by_role("radio", name=label).check()
        assert (await answered.value).status == 200
        await expect(shown).to_be_visible()
    await person.sees_logged(trace, {"user_feedback": (False, comment)})


def _containing(text: str) -> re.Pattern[str]:
    return re.compile(re.escape(text))
