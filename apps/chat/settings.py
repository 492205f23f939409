"""The settings of the sample chat service, from the environment."""

from pydantic import Field, SecretStr
from pydantic_settings import BaseSettings, SettingsConfigDict

from contracts.fields import Name


class ChatSettings(BaseSettings):
    """The variables ``FEEDBACK_CHAT_*``; each field's name is the variable's rest."""

    model_config = SettingsConfigDict(
        env_prefix="FEEDBACK_CHAT_", frozen=True, extra="ignore", hide_input_in_errors=True
    )

    host: str = "127.0.0.1"
    port: int = Field(default=8000, ge=0, le=65_535, description="the page and the routes")
    environment: Name = "demo"
    app_version: Name = "1.4.2"
    deployment_id: Name = "blue"
    region: Name = "eu-central"
    model_url: str | None = Field(default=None, description="an OpenAI-compatible endpoint, up to /v1")
    model_key: SecretStr = SecretStr("none")
    model_name: str = Field(default="gpt-4o-mini", description="the model to ask for there")
    word_seconds: float = Field(
        default=0.03,
        ge=0,
        le=1,
        description="between two words of the offline model, so that one sees it stream",
    )
    answer_seconds: float = Field(default=120, gt=0, description="how long one answer may take")
    reconnect_seconds: float = Field(
        default=10, ge=0, description="how long a stream waits for a client that is gone"
    )
    streams: int = Field(default=1000, ge=1, description="streams at once")
    buffer_bytes: int = Field(
        default=262_144, ge=1024, description="what is kept of an answer for a client that comes back"
    )
    ahead_bytes: int = Field(
        default=16_384, ge=256, description="how far the model may be ahead of the client that reads"
    )
    group_seconds: float = Field(default=0.025, ge=0, le=1, description="tokens within this time go together")
    keep_alive_seconds: float = Field(default=15, gt=0)
    insights_open: bool = Field(
        default=False, description="whoever gets to the page may read what everybody has said"
    )
    mlflow_page: str | None = Field(
        default=None, description="MLflow's address for browsers; by default that of MLFLOW_TRACKING_URI"
    )
    pause_seconds: float = Field(
        default=0, ge=0, description="between two stories of the sample traffic; 0: no traffic"
    )

    @property
    def segment(self) -> dict[str, str]:
        """Give what quality is cut by."""
        return {
            "environment": self.environment,
            "app_version": self.app_version,
            "deployment_id": self.deployment_id,
            "region": self.region,
        }
