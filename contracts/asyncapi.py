"""The AsyncAPI document, as applications see the topics, written by ``python -m contracts.asyncapi``.

FastStream makes channels, operations and messages; keys, headers, examples and the schemas as they must be
on the wire are ours.
"""

import json
from pathlib import Path
from typing import Any, Final

from faststream.kafka import KafkaBroker
from faststream.specification import AsyncAPI

from contracts import schema
from contracts.events import ChatCompleted, FeedbackLogged, FeedbackSubmitted, FeedbackWithdrawn
from contracts.headers import DeadLetterHeaders, header_names
from contracts.topics import Topics, TopicSpec

Json = dict[str, Any]

FILE: Final = schema.FOLDER / "asyncapi.json"
_EXAMPLES: Final = Path(__file__).with_name("examples")
_VERSION: Final = "1.0.0"
_DESCRIPTION: Final = (
    "Applications send what happened and what people think of it; the pipeline writes it to MLflow and "
    "answers with a receipt for every outcome. Values are bare JSON; no header is needed. Publish with "
    "acks=all and an idempotent producer; make event_id once and keep it when you send again."
)
_KEY: Final = {
    "type": "string",
    "description": "client_request_id, or trace_id where there is none, in UTF-8; any partitioner will do.",
}
_TEXT: Final = {"type": "string"}
_HEADERS: Final = {
    "type": "object",
    "description": "None is needed; the Python publisher writes these (CloudEvents, W3C trace context).",
    "properties": {
        "content-type": {"const": "application/json"},
        "ce_specversion": {"const": "1.0"},
        "ce_id": {"type": "string", "description": "The event_id."},
        "ce_type": _TEXT,
        "ce_source": _TEXT,
        "ce_time": {"type": "string", "format": "date-time"},
        "traceparent": _TEXT,
    },
}
_BLOCK: Final = {
    "type": "object",
    "description": "The original's headers, then this block: why it is a dead letter and where it came from.",
    "properties": dict.fromkeys(header_names(DeadLetterHeaders), _TEXT),
    "required": header_names(DeadLetterHeaders),
}
_SHOWN: Final = {
    "chat-completed": ("chat-full", "chat-minimal"),
    "feedback-submitted": ("feedback-several-assessments", "withdrawal-names-and-kinds"),
    "feedback-logged": ("receipt-logged", "receipt-dead-lettered"),
    "feedback-dead-letter": (),
}


def document() -> Json:
    """Give the AsyncAPI 3.0 document; it needs no broker."""
    topics = Topics()
    made = AsyncAPI(
        _application(topics), title="feedback-pipeline", version=_VERSION, description=_DESCRIPTION
    )
    generated = json.loads(made.to_specification().to_json())
    del generated["servers"]  # each installation has its own
    for spec in topics.specs():
        if spec.name in generated["channels"]:
            _complete_channel(generated, spec)
    _put_wire_schemas(generated["components"]["schemas"])
    return _sorted(generated)


def _application(topics: Topics) -> KafkaBroker:
    """Give a broker with an application's publishers and subscribers; it is never started."""
    broker = KafkaBroker()
    broker.publisher(topics.chat_completed, title=topics.chat_completed, schema=ChatCompleted)
    either = FeedbackSubmitted | FeedbackWithdrawn
    broker.publisher(topics.feedback_submitted, title=topics.feedback_submitted, schema=either)

    @broker.subscriber(topics.feedback_logged, title=topics.feedback_logged)
    async def logged(receipt: FeedbackLogged) -> None: ...

    @broker.subscriber(topics.dead_letter, title=topics.dead_letter)
    async def dead(original: bytes) -> None: ...

    return broker


def _complete_channel(generated: Json, spec: TopicSpec) -> None:
    channel = generated["channels"][spec.name]
    channel.pop("servers")
    channel["description"] = spec.purpose[0].upper() + spec.purpose[1:] + "."
    channel["bindings"]["kafka"]["topicConfiguration"] = {
        "retention.ms": int(spec.config["retention.ms"]),
        "max.message.bytes": int(spec.config["max.message.bytes"]),
    }
    for reference in channel["messages"].values():
        message = generated["components"]["messages"][reference["$ref"].rsplit("/", 1)[1]]
        is_dead = spec.name == Topics().dead_letter
        del message["correlationId"]  # FastStream's own header, which nobody has to write
        message["headers"] = _BLOCK if is_dead else _HEADERS
        message["bindings"] = {"kafka": {"key": _KEY, "bindingVersion": "0.5.0"}}
        if examples := [_example(name) for name in _SHOWN[spec.name]]:
            message["examples"] = examples
        if is_dead:
            payload = message["payload"]["$ref"].rsplit("/", 1)[1]
            generated["components"]["schemas"][payload] = {
                "description": "The original's value, byte for byte, whatever it is."
            }


def _example(name: str) -> Json:
    return {"name": name, "payload": json.loads((_EXAMPLES / f"{name}.json").read_bytes())}


def _put_wire_schemas(components: Json) -> None:
    for name, made in schema.schemas().items():
        parts = {**made.pop("$defs", {}), name: made}
        for key in ("$schema", "$id"):
            made.pop(key)
        moved = json.dumps(parts).replace("#/$defs/", "#/components/schemas/")
        components.update(json.loads(moved))


def _sorted(generated: Json) -> Json:
    """Put the parts in one order: FastStream's follows sets."""
    order = [spec.name for spec in Topics().specs()]
    for part in ("channels", "operations"):
        generated[part] = {name: generated[part][name] for name in order if name in generated[part]}
    for part, inner in generated["components"].items():
        generated["components"][part] = dict(sorted(inner.items()))
    return generated


if __name__ == "__main__":
    FILE.write_text(schema.text(document()), encoding="utf-8")
