"""compose.yaml as Docker reads it."""

import re
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import yaml
from dotenv import dotenv_values

ROOT = Path(__file__).parents[2]
Service = dict[str, Any]

_REFERENCE = re.compile(r"\$(?:(?P<dollar>\$)|\{(?P<name>\w+)(?:(?P<how>:?[-?])(?P<text>[^}]*))?\})")


@dataclass(frozen=True, slots=True)
class Compose:
    """The file with its variables put in."""

    document: dict[str, Any]
    root: Path = ROOT

    @property
    def services(self) -> dict[str, Service]:
        """Give the services by name."""
        services: dict[str, Service] = self.document["services"]
        return services

    @property
    def ours(self) -> dict[str, Service]:
        """Give the services that run our code."""
        return {name: service for name, service in self.services.items() if _runs_ours(service)}

    @property
    def dockerfiles(self) -> dict[Path, Path]:
        """Give each Dockerfile that is built, with the folder that it is given."""
        builds = [service["build"] for service in self.services.values() if "build" in service]
        contexts = {build["dockerfile"]: self.root / build["context"] for build in builds}
        return {context / name: context for name, context in contexts.items()}


def read_compose(variables: Mapping[str, str] | None = None) -> Compose:
    """Read the file with these variables, by default those of `.env.example`.

    Raises:
        KeyError: for a variable that must be set and is not.

    """
    example = {key: value or "" for key, value in dotenv_values(ROOT / ".env.example").items()}
    document = yaml.safe_load((ROOT / "compose.yaml").read_text())
    return Compose(_put_in(document, example if variables is None else variables))


def _put_in(value: Any, variables: Mapping[str, str]) -> Any:
    if isinstance(value, dict):
        return {key: _put_in(item, variables) for key, item in value.items()}
    if isinstance(value, list):
        return [_put_in(item, variables) for item in value]
    if isinstance(value, str):
        return _REFERENCE.sub(lambda match: _value_of(match, variables), value)
    return value


def _value_of(match: re.Match[str], variables: Mapping[str, str]) -> str:
    if match["dollar"]:
        return "$"
    name, how, text = match["name"], match["how"] or "", match["text"]
    value = variables.get(name)
    if value or (value == "" and not how.startswith(":")):
        return value
    if how.endswith("?"):
        message = f"{name}: {text}"
        raise KeyError(message)
    return text or ""


def _runs_ours(service: Service) -> bool:
    return bool(service.get("build", {}).get("dockerfile") == "deploy/docker/app.Dockerfile")
