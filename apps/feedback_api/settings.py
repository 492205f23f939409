"""The settings of the feedback routes, from the environment."""

import secrets
from typing import Annotated, Any, TypeVar

from limits import RateLimitItem, parse
from limits.aio.storage import Storage
from limits.errors import ConfigurationError
from limits.storage import storage_from_string
from pydantic import Field, SecretStr, ValidationError, field_validator
from pydantic_settings import BaseSettings, NoDecode, SettingsConfigDict

from consumers.settings import SettingsError

S = TypeVar("S", bound=BaseSettings)

IN_MEMORY = "async+memory://"
SECRET_LENGTH = 32
"""Characters of the shortest secret: HS256 wants as many bytes as its hash has."""


class ApiSettings(BaseSettings):
    """The variables ``FEEDBACK_API_*``; each field's name is the variable's rest."""

    model_config = SettingsConfigDict(
        env_prefix="FEEDBACK_API_", frozen=True, extra="ignore", hide_input_in_errors=True
    )

    open: bool = Field(default=False, description="feedback is taken without a token or key; loopback only")
    token_keys: SecretStr = Field(
        default=SecretStr(""), description="id:secret, with commas between; the first signs, all are trusted"
    )
    token_seconds: int = Field(default=7 * 86_400, ge=1, description="how long a feedback token is good for")
    service_keys: SecretStr = Field(
        default=SecretStr(""), description="name:secret of trusted services, with commas between"
    )
    origins: Annotated[tuple[str, ...], NoDecode] = Field(
        default=(), description="pages of other origins that may send feedback, with commas between"
    )
    hosts: Annotated[tuple[str, ...], NoDecode] = Field(
        default=(),
        description="names that requests may come by, with commas between; none: any, but in open mode "
        "addresses and localhost alone",
    )
    body_bytes: int = Field(default=1_048_576, ge=1024, description="largest body of a request")
    rate_user: str = Field(
        default="120/minute", description="feedback of one user; empty: as much as one likes"
    )
    rate_address: str = Field(
        default="1200/minute", description="requests of one address; empty: as many as one likes"
    )
    rate_storage: str = Field(
        default=IN_MEMORY, description="where rates are counted; memory: in each process by itself"
    )
    publish_seconds: float = Field(
        default=10, gt=0, le=60, description="how long Kafka may take to acknowledge"
    )
    lookup_seconds: float = Field(
        default=2, ge=0, le=30, description="how long a trace may be unknown before its id stands alone"
    )
    send_seconds: float = Field(
        default=30,
        gt=0,
        description="how long a client may take nothing of what it is sent before it is cut off",
    )
    waiters: int = Field(default=1000, ge=0, description="requests that may wait for receipts at once")

    @field_validator("origins", "hosts", mode="before")
    @classmethod
    def _split(cls, value: object) -> object:
        if isinstance(value, str):
            return tuple(part.strip().rstrip("/") for part in value.split(",") if part.strip())
        return value

    @field_validator("token_keys", "service_keys")
    @classmethod
    def _check_keys(cls, value: SecretStr) -> SecretStr:
        keys_of(value)
        return value

    @field_validator("rate_user", "rate_address")
    @classmethod
    def _check_rate(cls, value: str) -> str:
        rate_of(value)
        return value

    @field_validator("rate_storage")
    @classmethod
    def _check_storage(cls, value: str) -> str:
        try:
            storage = storage_from_string(value)
        except (ConfigurationError, ValueError):
            storage = None
        if not isinstance(storage, Storage):
            msg = "is no storage of the library limits that is installed; its address begins with async+"
            raise ValueError(msg)  # noqa: TRY004 - pydantic turns only ValueError into its own error
        return value


def keys_of(setting: SecretStr) -> dict[str, str]:
    """Give the secrets by their ids, in their order.

    Raises:
        ValueError: when there is a pair that is none, an id twice, or a secret that is too short.

    """
    keys: dict[str, str] = {}
    for number, pair in enumerate(filter(None, map(str.strip, setting.get_secret_value().split(","))), 1):
        name, colon, secret = pair.partition(":")
        if not colon or not name or name in keys:
            msg = f"part {number} is not id:secret with an id of its own"
            raise ValueError(msg)
        if len(secret) < SECRET_LENGTH:
            msg = f"the secret of part {number} has fewer than {SECRET_LENGTH} characters; make a longer one"
            raise ValueError(msg)
        keys[name] = secret
    return keys


def rate_of(text: str) -> RateLimitItem | None:
    """Give a rate such as ``120/minute``; none where the text is empty.

    Raises:
        ValueError: when it is no rate.

    """
    try:
        return parse(text) if text else None
    except ValueError:
        msg = "is no rate; write one such as 120/minute or 10/second"
        raise ValueError(msg) from None


def new_key() -> SecretStr:
    """Make a signing key for one process, where none is set."""
    return SecretStr(f"process:{secrets.token_urlsafe(SECRET_LENGTH)}")


def load_api_settings(**given: Any) -> ApiSettings:  # noqa: ANN401 - fields of the settings
    """Read the settings; what is given here comes before the environment.

    Raises:
        SettingsError: naming each variable that is wrong.

    """
    return load(ApiSettings, **given)


def load(model: type[S], **given: Any) -> S:  # noqa: ANN401 - fields of the model
    """Read settings of a model.

    Raises:
        SettingsError: naming each variable that is wrong.

    """
    try:
        return model(**given)
    except ValidationError as error:
        prefix = model.model_config.get("env_prefix", "")
        lines = [
            f"{prefix}{str(detail['loc'][0]).upper()}: {detail['msg'].removeprefix('Value error, ')}"
            for detail in error.errors(include_url=False, include_input=False)
            if detail["loc"]
        ]
        raise SettingsError("; ".join(lines)) from None


def variable_name(model: type[BaseSettings], field: str) -> str:
    """Give the environment variable of a field."""
    return f"{model.model_config.get('env_prefix', '')}{field.upper()}"
