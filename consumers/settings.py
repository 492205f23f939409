"""All settings of the consumers and commands, from the environment, frozen."""

from datetime import timedelta
from typing import Annotated, Any, Literal, Self

from pydantic import Field, SecretStr, ValidationError, field_validator, model_validator
from pydantic_settings import BaseSettings, NoDecode, SettingsConfigDict

from contracts.kafka import KafkaSettings
from contracts.topics import RETRY_DELAYS, Topics, delay_of
from pipeline.adapters.postgres_address import is_address
from pipeline.patterns import parse_patterns
from pipeline.redaction import Part
from pipeline.retries import DEFAULT_STAGES, RetryPolicy, RetryStage

PREFIX = "FEEDBACK_"


class SettingsError(ValueError):
    """A setting is missing or wrong; the message names the variable."""


class Settings(BaseSettings):
    """The variables ``FEEDBACK_*``; each field's name is the variable's rest. MLflow's own keep theirs."""

    model_config = SettingsConfigDict(
        env_prefix=PREFIX,
        frozen=True,
        extra="ignore",
        hide_input_in_errors=True,
        populate_by_name=True,
    )

    kafka: KafkaSettings = Field(default_factory=KafkaSettings, exclude=True)
    kafka_session_timeout_ms: int = Field(
        default=10_000, ge=1_000, description="a consumer that is silent for so long loses its partitions"
    )
    topic_prefix: Annotated[str, Field(pattern=r"^[A-Za-z0-9._-]{0,100}$")] = ""
    topic_partitions: int = Field(default=12, ge=1, le=10_000)
    topic_replication: int = Field(
        default=0,
        ge=0,
        le=10,
        description="copies of a partition; 0: three, or one a broker where there are fewer",
    )

    database_url: SecretStr = SecretStr("postgresql://feedback@127.0.0.1:5432/feedback")
    database_schema: Annotated[str, Field(pattern=r"^[a-z_][a-z0-9_]{0,62}$")] = "feedback"
    database_pool_size: int = Field(default=4, ge=1, le=100)

    mlflow_tracking_uri: str = Field(
        default="http://127.0.0.1:5000",
        validation_alias="MLFLOW_TRACKING_URI",
        pattern=r"^https?://",
        repr=False,  # it may hold a password
    )
    mlflow_experiments: Annotated[tuple[str, ...], NoDecode] = Field(
        default=("0",), min_length=1, description="names or ids, with commas between"
    )
    mlflow_concurrency: int = Field(default=16, ge=1, le=256, description="requests to MLflow at once")

    mlflow_sink: Literal["auto", "rest"] = Field(
        default="auto", description="auto: in bulk where the server has our plugin; rest: never in bulk"
    )

    batch_max_records: int = Field(default=2000, ge=1, le=10_000)
    lanes: int = Field(
        default=2,
        ge=1,
        le=16,
        description="how many consumers of one topic there are in a process: while one waits, another works",
    )
    poll_ms: int = Field(default=20, ge=1, le=10_000, description="how long one poll of Kafka waits")
    retry_delays: Annotated[tuple[str, ...], NoDecode] = Field(
        default=RETRY_DELAYS,
        min_length=1,
        description="of the retry topics, the shortest first; each names its topic",
    )
    retry_attempts: Annotated[tuple[Annotated[int, Field(ge=1, le=100_000)], ...], NoDecode] = Field(
        default=tuple(attempts for _, attempts in DEFAULT_STAGES),
        description="how often a record waits in each retry topic before it goes on to the next",
    )
    resolve_window_minutes: int = Field(
        default=60, ge=1, description="how long before its feedback a trace is first searched for"
    )
    request_lifetime_seconds: float = Field(
        default=60,
        ge=1,
        le=3600,
        description="how long after it was begun a write may still arrive in MLflow",
    )

    redact_patterns: str = Field(default="[]", description="JSON list of names and of RE2's patterns")
    redact_hook: Annotated[str, Field(pattern=r"^([\w.]+:\w+)?$")] = ""
    redact_fields: Annotated[tuple[Part, ...], NoDecode] = Field(
        default=("rationale", "metadata"), min_length=1
    )
    dead_letter_redact: bool = False

    http_host: str = "127.0.0.1"
    http_port: int = Field(default=8080, ge=0, le=65_535, description="health and metrics; 0: a free one")
    stall_seconds: int = Field(default=300, ge=2, description="a consumer that stands still for so long ends")
    shutdown_seconds: int = Field(default=30, ge=1, le=3600)
    log_level: Literal["DEBUG", "INFO", "WARNING", "ERROR"] = "INFO"
    log_format: Literal["json", "console"] = "json"

    @field_validator("redact_patterns")
    @classmethod
    def _check_patterns(cls, value: str) -> str:
        parse_patterns(value)
        return value

    @field_validator("database_url")
    @classmethod
    def _check_address(cls, url: SecretStr) -> SecretStr:
        # A password's own @, / or % would make parts of it a host or a port, which messages name.
        if not is_address(url.get_secret_value()):
            msg = "is no address of a Postgres; write special characters of the password as %XX"
            raise ValueError(msg)
        return url

    @field_validator("mlflow_experiments", "retry_delays", "retry_attempts", "redact_fields", mode="before")
    @classmethod
    def _split(cls, value: object) -> object:
        if isinstance(value, str):
            return tuple(part.strip() for part in value.split(",") if part.strip())
        return value

    @field_validator("retry_delays")
    @classmethod
    def _delays(cls, labels: tuple[str, ...]) -> tuple[str, ...]:
        delays = [delay_of(label) for label in labels]
        if delays != sorted(set(delays)):
            msg = f"{','.join(labels)}: each delay must be longer than the one before"
            raise ValueError(msg)
        return labels

    @model_validator(mode="after")
    def _each_delay_has_attempts(self) -> Self:
        if len(self.retry_delays) != len(self.retry_attempts):
            msg = (
                f"FEEDBACK_RETRY_ATTEMPTS: has {len(self.retry_attempts)} numbers and FEEDBACK_RETRY_DELAYS "
                f"{len(self.retry_delays)}: write one for each delay"
            )
            raise ValueError(msg)
        return self

    @property
    def topics(self) -> Topics:
        """Give the topics' names."""
        return Topics(self.topic_prefix, self.retry_delays)

    def group(self, name: str) -> str:
        """Give the name of a consumer group."""
        return f"{self.topic_prefix}{name}"

    @property
    def retries(self) -> RetryPolicy:
        """Give when and how often a version without a trace is tried."""
        stages = zip(self.retry_delays, self.retry_attempts, strict=True)
        return RetryPolicy(
            stages=tuple(RetryStage(delay_of(label), attempts) for label, attempts in stages),
            window=timedelta(minutes=self.resolve_window_minutes),
            lifetime=timedelta(seconds=self.request_lifetime_seconds),
        )


def to_environment(settings: Settings) -> dict[str, str]:
    """Give the variables that make another process have the same settings."""
    fields = settings.model_dump(exclude={"kafka"}) | {
        f"kafka.{name}": value for name, value in settings.kafka.model_dump().items()
    }
    return {variable_name(name): _text(value) for name, value in fields.items() if value is not None}


def _text(value: object) -> str:
    if isinstance(value, SecretStr):
        return value.get_secret_value()
    return ",".join(str(part) for part in value) if isinstance(value, tuple) else str(value)


def load_settings(**given: Any) -> Settings:  # noqa: ANN401 - fields of Settings
    """Read the settings; what is given here comes before the environment.

    Raises:
        SettingsError: naming each variable that is wrong, and what it must be.

    """
    try:
        return Settings(**given)
    except ValidationError as error:
        raise SettingsError(_explain(error)) from None


def variable_name(field: str) -> str:
    """Give the environment variable of a field of `Settings` or, after ``kafka.``, of `KafkaSettings`."""
    if field.startswith("kafka."):
        return f"{PREFIX}KAFKA_{field.removeprefix('kafka.').upper()}"
    aliases = {name: info.validation_alias for name, info in Settings.model_fields.items()}
    # pydantic's own errors call a field by its alias, where it has one.
    alias = field if field in aliases.values() else aliases.get(field)
    return alias if isinstance(alias, str) else f"{PREFIX}{field.upper()}"


def _explain(error: ValidationError) -> str:
    prefix = "kafka." if error.title == "KafkaSettings" else ""
    lines = []
    for detail in error.errors(include_url=False, include_input=False):
        place = ".".join(part for part in detail["loc"] if isinstance(part, str))
        text = detail["msg"].removeprefix("Value error, ")
        lines.append(f"{variable_name(prefix + place)}: {text}" if place else text)
    return "; ".join(lines)
