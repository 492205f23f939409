import ssl
from collections.abc import Callable
from pathlib import Path

import pytest
from pydantic import ValidationError

from contracts.kafka import KafkaSettings, TokenFile

PASSWORD = "made-up-for-this-test"  # noqa: S105
Environment = Callable[..., None]


@pytest.fixture(autouse=True)
def variables(monkeypatch: pytest.MonkeyPatch) -> Environment:
    monkeypatch.delenv("FEEDBACK_KAFKA_BOOTSTRAP_SERVERS", raising=False)

    def say(**given: str) -> None:
        for name, value in given.items():
            monkeypatch.setenv(f"FEEDBACK_KAFKA_{name.upper()}", value)

    return say


def test_a_plain_broker_needs_no_settings() -> None:
    options = KafkaSettings().options()
    assert options["bootstrap_servers"] == "127.0.0.1:9092"
    assert options["security_protocol"] == "PLAINTEXT"
    assert not {key for key in options if key.startswith(("sasl", "ssl"))}


def test_user_and_password_come_from_the_environment_and_are_not_shown(variables: Environment) -> None:
    variables(
        bootstrap_servers="k:1", security_protocol="SASL_PLAINTEXT", sasl_username="u", sasl_password=PASSWORD
    )
    settings = KafkaSettings()
    options = settings.options()
    assert (options["sasl_mechanism"], options["sasl_plain_username"]) == ("SCRAM-SHA-512", "u")
    assert options["sasl_plain_password"] == PASSWORD
    assert PASSWORD not in repr(settings)


@pytest.mark.parametrize(
    ("given", "named"),
    [
        ({}, "FEEDBACK_KAFKA_SASL_USERNAME and FEEDBACK_KAFKA_SASL_PASSWORD must be set"),
        (
            {"sasl_username": "u"},
            "FEEDBACK_KAFKA_SASL_PASSWORD must be set for SASL_PLAINTEXT with SCRAM-SHA-512",
        ),
        ({"sasl_mechanism": "OAUTHBEARER"}, "FEEDBACK_KAFKA_SASL_OAUTH_TOKEN_FILE must be set"),
    ],
)
def test_what_sasl_lacks_is_named_by_its_variable(
    variables: Environment, given: dict[str, str], named: str
) -> None:
    variables(security_protocol="SASL_PLAINTEXT", **given)
    with pytest.raises(ValidationError, match=named):
        KafkaSettings()


async def test_a_token_is_read_anew_at_each_connection(variables: Environment, tmp_path: Path) -> None:
    file = tmp_path / "token"
    file.write_text("first\n")
    variables(
        security_protocol="SASL_PLAINTEXT", sasl_mechanism="OAUTHBEARER", sasl_oauth_token_file=str(file)
    )
    provider = KafkaSettings().options()["sasl_oauth_token_provider"]
    assert isinstance(provider, TokenFile)
    assert await provider.token() == "first"
    file.write_text("second")
    assert await provider.token() == "second"


def test_tls_checks_the_brokers_name(variables: Environment) -> None:
    variables(security_protocol="SSL")
    context = KafkaSettings().options()["ssl_context"]
    assert isinstance(context, ssl.SSLContext)
    assert context.check_hostname
    assert context.verify_mode is ssl.CERT_REQUIRED
