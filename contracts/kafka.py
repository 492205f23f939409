"""How to reach Kafka: settings that publishers, consumers and operators share."""

import ssl
from pathlib import Path
from typing import Any, Literal, Self

from aiokafka.abc import AbstractTokenProvider
from pydantic import Field, SecretStr, model_validator
from pydantic_settings import BaseSettings, SettingsConfigDict


class TokenFile(AbstractTokenProvider):
    """Reads an OAUTHBEARER token from a file at each connection, so that its renewal needs no restart."""

    def __init__(self, path: Path) -> None:
        self._path = path

    async def token(self) -> str:
        """Give the token as it stands in the file now."""
        return self._path.read_text(encoding="utf-8").strip()


class KafkaSettings(BaseSettings):
    """The variables ``FEEDBACK_KAFKA_*``; each field's name is the variable's rest."""

    model_config = SettingsConfigDict(
        env_prefix="FEEDBACK_KAFKA_", frozen=True, extra="ignore", hide_input_in_errors=True
    )

    bootstrap_servers: str = Field(
        default="127.0.0.1:9092", description="host:port of one or more brokers, with commas between"
    )
    client_id: str = "feedback-pipeline"
    security_protocol: Literal["PLAINTEXT", "SSL", "SASL_PLAINTEXT", "SASL_SSL"] = "PLAINTEXT"
    sasl_mechanism: Literal["PLAIN", "SCRAM-SHA-256", "SCRAM-SHA-512", "OAUTHBEARER"] = "SCRAM-SHA-512"
    sasl_username: str | None = None
    sasl_password: SecretStr | None = None
    sasl_oauth_token_file: Path | None = Field(
        default=None, description="file with the OAUTHBEARER token, read again at each connection"
    )
    ssl_cafile: Path | None = None
    ssl_certfile: Path | None = None
    ssl_keyfile: Path | None = None
    ssl_keypassword: SecretStr | None = None
    request_timeout_ms: int = Field(default=15_000, ge=1_000, description="bound of one request to a broker")

    @model_validator(mode="after")
    def _check_sasl(self) -> Self:
        if not self.security_protocol.startswith("SASL"):
            return self
        if self.sasl_mechanism == "OAUTHBEARER":
            needed: dict[str, object] = {"FEEDBACK_KAFKA_SASL_OAUTH_TOKEN_FILE": self.sasl_oauth_token_file}
        else:
            needed = {
                "FEEDBACK_KAFKA_SASL_USERNAME": self.sasl_username,
                "FEEDBACK_KAFKA_SASL_PASSWORD": self.sasl_password,
            }
        if missing := [name for name, value in needed.items() if value is None]:
            msg = (
                f"{' and '.join(missing)} must be set for {self.security_protocol} with {self.sasl_mechanism}"
            )
            raise ValueError(msg)
        return self

    def options(self) -> dict[str, Any]:
        """Give the connection options of any aiokafka client."""
        options: dict[str, Any] = {
            "bootstrap_servers": self.bootstrap_servers,
            "client_id": self.client_id,
            "security_protocol": self.security_protocol,
            "request_timeout_ms": self.request_timeout_ms,
        }
        if self.security_protocol.endswith("SSL"):
            options["ssl_context"] = self._ssl_context()
        if self.security_protocol.startswith("SASL"):
            options |= self._sasl()
        return options

    def _sasl(self) -> dict[str, Any]:
        options: dict[str, Any] = {"sasl_mechanism": self.sasl_mechanism}
        if self.sasl_oauth_token_file is not None and self.sasl_mechanism == "OAUTHBEARER":
            return options | {"sasl_oauth_token_provider": TokenFile(self.sasl_oauth_token_file)}
        password = self.sasl_password.get_secret_value() if self.sasl_password else None
        return options | {"sasl_plain_username": self.sasl_username, "sasl_plain_password": password}

    def _ssl_context(self) -> ssl.SSLContext:
        context = ssl.create_default_context(cafile=str(self.ssl_cafile) if self.ssl_cafile else None)
        if self.ssl_certfile:
            password = self.ssl_keypassword.get_secret_value() if self.ssl_keypassword else None
            context.load_cert_chain(self.ssl_certfile, self.ssl_keyfile, password)
        return context
