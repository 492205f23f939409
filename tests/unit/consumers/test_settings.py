import os
from collections.abc import Iterator
from datetime import timedelta
from pathlib import Path
from typing import Any

import pytest
from pydantic import SecretStr, ValidationError

from consumers.settings import Settings, SettingsError, load_settings, to_environment, variable_name
from contracts.kafka import KafkaSettings
from pipeline.retries import RetryPolicy, RetryStage

PASSWORD = "pass-word-of-an-operator"  # noqa: S105 - so that it can be looked for
URL = f"postgresql://user:{PASSWORD}@db:5432/feedback"


@pytest.fixture(autouse=True)
def environment() -> Iterator[dict[str, str]]:
    """Give the variables of each test to the process, and the process its own back."""
    kept = dict(os.environ)
    for name in kept:
        if name.startswith(("FEEDBACK_", "MLFLOW_")):
            del os.environ[name]
    yield kept
    os.environ.clear()
    os.environ.update(kept)


def refusal(**variables: str) -> str:
    os.environ.update(variables)
    with pytest.raises(SettingsError) as caught:
        load_settings()
    assert caught.value.__cause__ is None
    return str(caught.value)


def test_the_defaults_work() -> None:
    settings = load_settings()
    assert settings.kafka.bootstrap_servers == "127.0.0.1:9092"
    assert settings.mlflow_tracking_uri == "http://127.0.0.1:5000"
    assert settings.mlflow_experiments == ("0",)
    assert settings.retries == RetryPolicy()
    assert settings.topics.chat_completed == "chat-completed"


@pytest.mark.parametrize(
    ("variable", "value"),
    [
        ("FEEDBACK_TOPIC_PREFIX", "with space"),
        ("FEEDBACK_TOPIC_PREFIX", "x" * 101),
        ("FEEDBACK_TOPIC_PARTITIONS", "0"),
        ("FEEDBACK_TOPIC_PARTITIONS", "many"),
        ("FEEDBACK_TOPIC_REPLICATION", "-1"),
        ("FEEDBACK_DATABASE_SCHEMA", "Bad-Schema; DROP"),
        ("FEEDBACK_DATABASE_POOL_SIZE", "0"),
        ("MLFLOW_TRACKING_URI", "databricks"),
        ("MLFLOW_TRACKING_URI", ""),
        ("FEEDBACK_MLFLOW_EXPERIMENTS", " , "),
        ("FEEDBACK_MLFLOW_CONCURRENCY", "257"),
        ("FEEDBACK_BATCH_MAX_RECORDS", "0"),
        ("FEEDBACK_POLL_MS", "0"),
        ("FEEDBACK_RETRY_DELAYS", ""),
        ("FEEDBACK_RETRY_DELAYS", "2s,1m,1d"),
        ("FEEDBACK_RETRY_DELAYS", "0s,1m,2m"),
        ("FEEDBACK_RETRY_DELAYS", "2m,1m,15m"),
        ("FEEDBACK_RETRY_DELAYS", "1m,60s,15m"),
        ("FEEDBACK_RETRY_ATTEMPTS", "0,1,1"),
        ("FEEDBACK_RETRY_ATTEMPTS", "1,1"),
        ("FEEDBACK_RETRY_ATTEMPTS", "1,b,3"),
        ("FEEDBACK_REQUEST_LIFETIME_SECONDS", "0"),
        ("FEEDBACK_RESOLVE_WINDOW_MINUTES", "0"),
        ("FEEDBACK_REDACT_PATTERNS", "email"),
        ("FEEDBACK_REDACT_PATTERNS", '["("]'),
        ("FEEDBACK_REDACT_PATTERNS", '["e-mail"]'),
        ("FEEDBACK_REDACT_HOOK", "no module"),
        ("FEEDBACK_REDACT_FIELDS", "rationale,comment"),
        ("FEEDBACK_REDACT_FIELDS", ","),
        ("FEEDBACK_DEAD_LETTER_REDACT", "perhaps"),
        ("FEEDBACK_HTTP_PORT", "65536"),
        ("FEEDBACK_SHUTDOWN_SECONDS", "0"),
        ("FEEDBACK_LOG_LEVEL", "LOUD"),
        ("FEEDBACK_LOG_FORMAT", "xml"),
        ("FEEDBACK_KAFKA_SECURITY_PROTOCOL", "TLS"),
        ("FEEDBACK_KAFKA_SASL_MECHANISM", "KERBEROS"),
        ("FEEDBACK_KAFKA_REQUEST_TIMEOUT_MS", "soon"),
    ],
)
def test_each_error_names_its_variable(variable: str, value: str) -> None:
    said = refusal(**{variable: value})
    assert said.startswith(f"{variable}: ")
    assert ";" not in said


def test_several_errors_are_told_at_once() -> None:
    said = refusal(FEEDBACK_HTTP_PORT="-1", FEEDBACK_LOG_LEVEL="LOUD")
    assert "FEEDBACK_HTTP_PORT: " in said
    assert "FEEDBACK_LOG_LEVEL: " in said


def test_sasl_without_its_password_names_what_is_missing() -> None:
    said = refusal(FEEDBACK_KAFKA_SECURITY_PROTOCOL="SASL_SSL", FEEDBACK_KAFKA_SASL_PASSWORD=PASSWORD)
    assert "FEEDBACK_KAFKA_SASL_USERNAME must be set for SASL_SSL with SCRAM-SHA-512" in said
    assert PASSWORD not in said


def test_no_password_in_any_repr_or_error() -> None:
    os.environ["FEEDBACK_DATABASE_URL"] = URL
    os.environ["FEEDBACK_KAFKA_SASL_PASSWORD"] = PASSWORD
    os.environ["FEEDBACK_KAFKA_SSL_KEYPASSWORD"] = PASSWORD
    settings = load_settings()
    assert settings.database_url.get_secret_value() == URL
    shown = repr(settings) + str(settings) + repr(settings.model_dump()) + repr(settings.kafka)
    assert PASSWORD not in shown
    assert PASSWORD not in refusal(FEEDBACK_HTTP_PORT="x", FEEDBACK_KAFKA_REQUEST_TIMEOUT_MS="x")


def test_pydantic_s_own_error_holds_no_input_either() -> None:
    with pytest.raises(ValidationError) as caught:
        Settings(database_schema=PASSWORD)
    assert PASSWORD not in str(caught.value)


def test_settings_are_frozen() -> None:
    with pytest.raises(ValueError, match="frozen"):
        load_settings().http_port = 1  # type: ignore[misc]  # that is what is refused


def test_experiments_are_names_or_ids_with_commas_between() -> None:
    os.environ["FEEDBACK_MLFLOW_EXPERIMENTS"] = " chat , 7,my experiment,"
    assert load_settings().mlflow_experiments == ("chat", "7", "my experiment")


def test_what_is_given_comes_before_the_environment() -> None:
    os.environ["FEEDBACK_HTTP_PORT"] = "1"
    assert load_settings().http_port == 1
    assert load_settings(http_port=2).http_port == 2


def test_groups_and_topics_carry_the_prefix() -> None:
    settings = load_settings(topic_prefix="team.a-")
    assert settings.group("feedback-logger") == "team.a-feedback-logger"
    assert settings.topics.dead_letter == "team.a-feedback-dead-letter"


def test_retries_are_what_the_settings_say() -> None:
    settings = load_settings(
        retry_delays=("3s", "2m"),
        retry_attempts=(4, 5),
        resolve_window_minutes=5,
        request_lifetime_seconds=30,
    )
    policy = RetryPolicy(
        stages=(RetryStage(timedelta(seconds=3), 4), RetryStage(timedelta(minutes=2), 5)),
        window=timedelta(minutes=5),
        lifetime=timedelta(seconds=30),
    )
    assert settings.retries == policy


FULL: dict[str, Any] = {
    "topic_prefix": "t-",
    "topic_partitions": 3,
    "topic_replication": 2,
    "database_url": SecretStr(URL),
    "database_schema": "other",
    "kafka_session_timeout_ms": 7000,
    "database_pool_size": 9,
    "mlflow_tracking_uri": "https://mlflow.example/path",
    "mlflow_experiments": ("my experiment", "7"),
    "mlflow_concurrency": 3,
    "mlflow_sink": "rest",
    "lanes": 3,
    "batch_max_records": 7,
    "poll_ms": 5,
    "retry_delays": ("1s", "2h"),
    "retry_attempts": (7, 8),
    "request_lifetime_seconds": 12.5,
    "resolve_window_minutes": 3,
    "redact_patterns": r'["email", "\\bKD-\\d{1,6}\\b"]',
    "redact_hook": "our_hooks:redact",
    "redact_fields": ("rationale", "value"),
    "dead_letter_redact": True,
    "http_host": "0.0.0.0",  # noqa: S104 - nothing listens
    "http_port": 0,
    "stall_seconds": 77,
    "shutdown_seconds": 4,
    "log_level": "DEBUG",
    "log_format": "console",
}
KAFKA: dict[str, Any] = {
    "bootstrap_servers": "a:1,b:2",
    "client_id": "me",
    "security_protocol": "SASL_SSL",
    "sasl_mechanism": "PLAIN",
    "sasl_username": "user",
    "sasl_password": SecretStr(PASSWORD),
    "sasl_oauth_token_file": Path("/run/token"),
    "ssl_cafile": Path("/run/ca.pem"),
    "ssl_certfile": Path("/run/cert.pem"),
    "ssl_keyfile": Path("/run/key.pem"),
    "ssl_keypassword": SecretStr(PASSWORD),
    "request_timeout_ms": 5000,
}


def test_another_process_with_these_variables_has_the_same_settings() -> None:
    assert set(FULL) | {"kafka"} == set(Settings.model_fields)
    assert set(KAFKA) == set(KafkaSettings.model_fields)
    settings = load_settings(kafka=KafkaSettings(**KAFKA), **FULL)
    variables = to_environment(settings)
    assert all(isinstance(value, str) for value in variables.values())
    os.environ.update(variables)
    again = load_settings()
    assert again == settings
    assert again.kafka == settings.kafka


def test_the_defaults_come_back_too() -> None:
    settings = load_settings()
    os.environ.update(to_environment(settings))
    assert load_settings() == settings


def test_the_names_of_variables() -> None:
    assert variable_name("http_port") == "FEEDBACK_HTTP_PORT"
    assert variable_name("mlflow_tracking_uri") == "MLFLOW_TRACKING_URI"
    assert variable_name("MLFLOW_TRACKING_URI") == "MLFLOW_TRACKING_URI"
    assert variable_name("kafka.sasl_password") == "FEEDBACK_KAFKA_SASL_PASSWORD"


@pytest.mark.parametrize(
    "url",
    [
        "postgresql://app:s3cret@x@db/feedback",  # would be a host
        "postgresql://app:s3cret/x@db/feedback",  # would be a port
        "postgresql://app:s3cret%x@db/feedback",
        "postgresql://app:s3cret@db/feedback?sslmodee=require",
        "s3cret",
    ],
)
def test_a_wrong_address_of_postgres_is_refused_without_a_word_of_it(
    url: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("FEEDBACK_DATABASE_URL", url)
    with pytest.raises(SettingsError) as caught:
        load_settings()
    assert "FEEDBACK_DATABASE_URL: is no address of a Postgres" in str(caught.value)
    assert "s3cret" not in str(caught.value)


@pytest.mark.parametrize(
    "url",
    [
        "postgresql://app:s%40cret@[::1]:5432/feedback?sslmode=verify-full&sslrootcert=/ca.pem",
        "postgresql://app@a.example:1,b.example:2/feedback?target_session_attrs=read-write",
        "host=/run/postgresql dbname=feedback",
        "postgresql:///feedback",
    ],
)
def test_what_libpq_can_read_is_an_address(url: str, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("FEEDBACK_DATABASE_URL", url)
    assert load_settings().database_url.get_secret_value() == url


def test_settings_show_no_secret(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("FEEDBACK_DATABASE_URL", "postgresql://app:s3cret@db/feedback")
    monkeypatch.setenv("MLFLOW_TRACKING_URI", "https://bot:s3cret@mlflow.example")
    monkeypatch.setenv("FEEDBACK_KAFKA_SASL_PASSWORD", "s3cret")
    monkeypatch.setenv("FEEDBACK_KAFKA_SSL_KEYPASSWORD", "s3cret")
    settings = load_settings()
    for shown in (repr(settings), str(settings), repr(settings.kafka)):
        assert "s3cret" not in shown
