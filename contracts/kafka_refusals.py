"""What a person reads when Kafka does not let us in, or not further: who, what, and the mend."""

import asyncio
import ssl
from typing import Final, Literal

from aiokafka.conn import AIOKafkaConnection, collect_hosts
from aiokafka.errors import (
    ClusterAuthorizationFailedError,
    GroupAuthorizationFailedError,
    KafkaConnectionError,
    KafkaError,
    SaslAuthenticationFailed,
    TopicAuthorizationFailedError,
    UnsupportedSaslMechanismError,
)

from contracts.kafka import KafkaSettings

Operation = Literal["Read", "Write"]

_CLOSE_SECONDS: Final = 1


async def explain(error: BaseException, kafka: KafkaSettings, operation: Operation) -> str:
    """Say in one line what keeps us out, and what to do; never what was sent.

    Args:
        error: what a client raised.
        kafka: how it was reached.
        operation: what was tried, where it is a topic's right that is missing.

    """
    if (missing := refusal(error, kafka, operation)) is not None:
        return missing
    if isinstance(error, KafkaConnectionError | OSError):
        door = f"no connection to Kafka at {kafka.bootstrap_servers} ({kafka.security_protocol})"
        return f"{door}: {await why_no_connection(kafka)}"
    return type(error).__name__


async def why_no_connection(kafka: KafkaSettings) -> str:
    """Say why no broker lets us in, by asking each once more: a client only tells that none did."""
    try:
        options = kafka.options()
        brokers = options.pop("bootstrap_servers")
        for host, port, _ in collect_hosts(brokers):
            await _knock(AIOKafkaConnection(host, port, **options))
    except (KafkaError, OSError, TimeoutError, asyncio.IncompleteReadError) as error:
        return _at_the_door(error, kafka)
    return "the brokers can be reached again"


async def _knock(connection: AIOKafkaConnection) -> None:
    try:
        await connection.connect()
    finally:
        closed = connection.close()
        if connection._protocol is not None:  # noqa: SLF001 - only then was there anything to close
            await asyncio.wait([closed], timeout=_CLOSE_SECONDS)


def _at_the_door(error: BaseException, kafka: KafkaSettings) -> str:
    match error:
        case SaslAuthenticationFailed():
            return (
                f"user {kafka.sasl_username!r} is refused; "
                "check FEEDBACK_KAFKA_SASL_USERNAME and FEEDBACK_KAFKA_SASL_PASSWORD"
            )
        case UnsupportedSaslMechanismError():
            return f"it does not offer {kafka.sasl_mechanism}; check FEEDBACK_KAFKA_SASL_MECHANISM"
        case ssl.SSLCertVerificationError():
            return (
                f"its certificate is not trusted ({error.verify_message}); check FEEDBACK_KAFKA_SSL_CAFILE, "
                "and that FEEDBACK_KAFKA_BOOTSTRAP_SERVERS has the names that the certificate is for"
            )
        case FileNotFoundError() | PermissionError():
            return (
                f"{type(error).__name__}; check the files of FEEDBACK_KAFKA_SSL_CAFILE, …_SSL_CERTFILE, "
                "…_SSL_KEYFILE and …_SASL_OAUTH_TOKEN_FILE"
            )
        case ssl.SSLError():
            return f"no TLS ({error.reason}); check FEEDBACK_KAFKA_SECURITY_PROTOCOL and …_SSL_…"
        case OSError() | TimeoutError():
            return f"{type(error).__name__}; check FEEDBACK_KAFKA_BOOTSTRAP_SERVERS"
        case _:
            return (
                f"{type(error).__name__}; check FEEDBACK_KAFKA_BOOTSTRAP_SERVERS and "
                "FEEDBACK_KAFKA_SECURITY_PROTOCOL"
            )


def refusal(error: BaseException, kafka: KafkaSettings, operation: Operation) -> str | None:
    """Name the right that is missing, and what to grant; None where the error is no matter of rights."""
    match error:
        case TopicAuthorizationFailedError():
            return no_right(kafka, f"topic {_names(error)}", operation)
        case GroupAuthorizationFailedError():
            return no_right(kafka, f"group {_names(error)}", "Read")
        case ClusterAuthorizationFailedError():
            # Who asks for the number of an idempotent producer must be allowed to write somewhere.
            return no_right(kafka, "any of the topics that it writes", "Write")
        case _:
            return None


def no_right(kafka: KafkaSettings, what: str, operation: str) -> str:
    """Say which right is missing, and what to grant."""
    who = f"User:{kafka.sasl_username}" if kafka.sasl_username else "this client"
    return f"{who} has no right to {what}: grant it {operation} (docs/security.md has the commands)"


def _names(error: KafkaError) -> str:
    (given,) = error.args or ("",)
    names = sorted(given) if isinstance(given, set) else [str(given)]
    return ", ".join(repr(name) for name in names)
