from contracts.topics import ENVELOPE_BYTES, EVENT_BYTES, KEEP_EVENTS_MS, Topics


def test_topics_have_the_names_that_others_rely_on() -> None:
    names = [spec.name for spec in Topics().specs()]
    assert names[:4] == ["chat-completed", "feedback-submitted", "feedback-logged", "feedback-dead-letter"]


def test_a_prefix_stands_before_every_name() -> None:
    plain, prefixed = Topics().specs(), Topics("staging.").specs()
    assert [spec.name for spec in prefixed] == [f"staging.{spec.name}" for spec in plain]


def test_every_topic_keeps_its_records_and_a_dead_letter_holds_the_largest_event() -> None:
    specs = {spec.name: spec.config for spec in Topics().specs()}
    assert {config["retention.ms"] for config in specs.values()} == {str(KEEP_EVENTS_MS)}
    assert specs["feedback-submitted"]["max.message.bytes"] == str(EVENT_BYTES)
    assert specs["feedback-dead-letter"]["max.message.bytes"] == str(ENVELOPE_BYTES)
    assert ENVELOPE_BYTES > EVENT_BYTES
