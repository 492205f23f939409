"""All settings of the consumers and commands, from the environment, frozen."""

from datetime import timedelta
from typing import Annotated, Any, Literal

from pydantic import Field, SecretStr, ValidationError, field_validator
from pydantic_settings import BaseSettings, NoDecode, SettingsConfigDict

from contracts.kafka import KafkaSettings
from contracts.topics import Topics
from pipeline.feedback_pipeline import RetryPolicy

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
        default="http://127.0.0.1:5000", validation_alias="MLFLOW_TRACKING_URI", pattern=r"^https?://"
    )
    mlflow_experiments: Annotated[tuple[str, ...], NoDecode] = Field(
        default=("0",), min_length=1, description="names or ids, with commas between"
    )
    mlflow_concurrency: int = Field(default=16, ge=1, le=256, description="requests to MLflow at once")

    batch_max_records: int = Field(default=500, ge=1, le=10_000)
    poll_ms: int = Field(default=20, ge=1, le=10_000, description="how long one poll of Kafka waits")
    resolve_attempts: int = Field(default=6, ge=1, le=100)
    resolve_first_wait_seconds: float = Field(default=0.25, gt=0, le=60)
    resolve_longest_wait_seconds: float = Field(default=4.0, gt=0, le=60)
    resolve_window_minutes: int = Field(default=60, ge=1)

    http_host: str = "127.0.0.1"
    http_port: int = Field(default=8080, ge=0, le=65_535, description="health and metrics; 0: a free one")
    shutdown_seconds: int = Field(default=30, ge=1, le=3600)
    log_level: Literal["DEBUG", "INFO", "WARNING", "ERROR"] = "INFO"
    log_format: Literal["json", "console"] = "json"

    @field_validator("mlflow_experiments", mode="before")
    @classmethod
    def _split(cls, value: object) -> object:
        if isinstance(value, str):
            return tuple(part.strip() for part in value.split(",") if part.strip())
        return value

    @property
    def topics(self) -> Topics:
        """Give the topics' names."""
        return Topics(self.topic_prefix)

    def group(self, name: str) -> str:
        """Give the name of a consumer group."""
        return f"{self.topic_prefix}{name}"

    @property
    def retries(self) -> RetryPolicy:
        """Give how often a version without a trace is tried."""
        return RetryPolicy(
            attempts=self.resolve_attempts,
            first_wait=self.resolve_first_wait_seconds,
            longest_wait=self.resolve_longest_wait_seconds,
            window=timedelta(minutes=self.resolve_window_minutes),
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
    return ",".join(value) if isinstance(value, tuple) else str(value)


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
        place = ".".join(str(part) for part in detail["loc"])
        text = detail["msg"].removeprefix("Value error, ")
        lines.append(f"{variable_name(prefix + place)}: {text}" if place else text)
    return "; ".join(lines)
