"""Answers that come word by word, over connections that break."""

from chaos.proxy import Proxy
from playwright.async_api import Route, expect

from browser.person import Person, response_of


async def test_an_answer_grows_word_by_word_and_ends_as_its_trace_says(person: Person) -> None:
    await person.send()
    text = person.page.locator(".fb-text").last
    await expect(text).not_to_be_empty()
    first = await text.inner_text()
    await expect(person.good).to_have_count(0)
    trace = await person.answered()
    assert len(await text.inner_text()) > len(first)
    await person.good.click()
    await person.sees_logged(trace, {"user_feedback": (True, "")})
    assert (await person.turns())[-1]["answer"] == await response_of(trace)


async def test_a_broken_connection_is_made_anew_and_no_word_is_lost_or_doubled(
    person: Person, proxy: Proxy
) -> None:
    asked: list[tuple[str | None, str | None]] = []

    async def note(route: Route) -> None:
        headers = await route.request.all_headers()
        asked.append((headers.get("x-request-id"), headers.get("last-event-id")))
        await route.continue_()

    await person.page.route("**/chat/stream", note)
    await person.send()
    await expect(person.page.locator(".fb-text").last).not_to_be_empty()
    assert proxy.cut() > 0
    trace = await person.answered()
    assert len(asked) > 1
    assert len({request for request, _ in asked}) == 1
    assert asked[0][1] is None
    assert int(asked[1][1] or 0) > 0
    await person.good.click()
    await person.sees_logged(trace, {"user_feedback": (True, "")})
    assert (await person.turns())[-1]["answer"] == await response_of(trace)


async def test_a_stream_that_cannot_be_picked_up_is_asked_for_again(person: Person) -> None:
    async def gone(route: Route) -> None:
        document = '{"title": "Gone", "status": 410, "detail": "This answer is no longer kept."}'
        await route.fulfill(status=410, content_type="application/problem+json", body=document)

    await person.page.route("**/chat/stream", gone)
    await person.send()
    await expect(person.page.get_by_text("This answer is no longer kept.")).to_be_visible()
    await expect(person.good).to_have_count(0)
    await person.page.unroute("**/chat/stream")
    await person.button("Try again").click()
    trace = await person.answered()
    await person.good.click()
    await person.sees_logged(trace, {"user_feedback": (True, "")})
