"""What the alert rules ask for, on a real consumer's /metrics before and after dead letters."""

from aiokafka import AIOKafkaProducer
from prometheus_client import Metric
from prometheus_client.parser import text_string_to_metric_families
from support.alerts import is_shown, read_rules, selectors
from support.consumers import Consumers, Running
from support.waiting import wait_until
from support.world import request_id, wait_until_settled, write_traces

from consumers.settings import Settings
from contracts.publisher import FeedbackPublisher

GOOD, BAD = 30, 8
FEW, SHARE = 5, 0.01
"""As in the rule FeedbackDeadLetters."""

WATCHED = {"feedback_loop_age_seconds", "feedback_lag_records"}
"""Gauges that a watchdog sets, from its first look on."""


def scrape(running: Running) -> list[Metric]:
    return list(text_string_to_metric_families(running.get("/metrics").text))


def total(families: list[Metric], name: str, **labels: str) -> float:
    return sum(
        sample.value
        for family in families
        for sample in family.samples
        if sample.name == name and labels.items() <= sample.labels.items()
    )


async def test_dead_letters_of_a_real_consumer_fire_the_alert(
    settings: Settings, publisher: FeedbackPublisher, consumers: Consumers
) -> None:
    write_traces(settings, 1)
    running = await consumers.start("all")
    await wait_until(
        lambda: {sample.name for family in scrape(running) for sample in family.samples} >= WATCHED,
        seconds=20,
        what="the loops are watched",
    )
    before = scrape(running)
    for number in range(GOOD):
        await publisher.feedback_submitted(
            client_request_id=request_id(settings, 0),
            source={"type": "HUMAN", "id": f"user-{number}"},
            assessments=[{"name": "helpful", "value": True}],
        )
    async with AIOKafkaProducer(**settings.kafka.options()) as producer:
        for topic in (settings.topics.feedback_submitted, settings.topics.chat_completed):
            for _ in range(BAD):
                await producer.send_and_wait(topic, b"nonsense")
    await wait_until_settled(settings, seconds=60)
    after = scrape(running)

    for name, outcomes in (("feedback_outcomes_total", BAD + GOOD), ("feedback_chats_total", BAD)):
        # What increase() sees: the series stands in the first scrape.
        dead = total(after, name, outcome="dead-lettered") - total(before, name, outcome="dead-lettered")
        everything = total(after, name) - total(before, name)
        assert (dead, everything) == (BAD, outcomes)
        assert dead > FEW
        assert dead / everything > SHARE
    assert total(after, "feedback_outcomes_total", outcome="dead-lettered", reason="undecodable") == BAD
    await wait_until(
        lambda: total(scrape(running), "feedback_lag_records") == 0, seconds=5, what="nothing waits unread"
    )
    assert total(after, "feedback_loop_age_seconds") < 30

    shown: dict[str, list[dict[str, str]]] = {}
    for family in after:
        for sample in family.samples:
            shown.setdefault(sample.name, []).append(sample.labels)
    asked = [found for rule in read_rules().values() for found in selectors(rule["expr"])]
    assert [(name, labels) for name, labels in asked if not is_shown(name, labels, shown)] == []
    first = {sample.name for family in before for sample in family.samples}
    assert {name for name, _ in asked} - first <= {"feedback_records_total"}
