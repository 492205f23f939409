"""The rules that compose.yaml keeps: each gives its complaints, and none when all is well."""

import re
import shlex
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import mlflow.environment_variables
import typer

from apps.chat.settings import ChatSettings
from apps.feedback_api.settings import ApiSettings
from apps.feedback_api.settings import variable_name as api_variable
from consumers.settings import Settings, variable_name
from contracts.kafka import KafkaSettings
from ops.cli import app
from support.compose import ROOT, Compose, Service
from support.dockerfiles import base_images, build_context, copied, last_user

_TAG = re.compile(r"^[\w./-]+:v?\d[\w.-]*$")
_DURATION = re.compile(r"^(\d+)s$")
_NOT_ROOT_BY_THEMSELVES = ("apache/kafka", "postgres")


def images_are_pinned(compose: Compose) -> Iterator[str]:
    """Refuse an image, also one that we build upon, whose tag is missing or names no version."""
    images = {service.get("image", "") for service in compose.services.values()}
    for path in compose.dockerfiles:
        images |= base_images(path)
    yield from (f"{image!r} is not pinned" for image in images if not _TAG.match(image))


def nothing_runs_as_root(compose: Compose) -> Iterator[str]:
    """Want a user that is not root from each image of ours; of others' we know which see to it themselves."""
    for name, service in compose.services.items():
        if "build" not in service:
            if service["image"].rpartition(":")[0] not in _NOT_ROOT_BY_THEMSELVES and "user" not in service:
                yield f"{name}: who does {service['image']} run as?"
            continue
        path = compose.root / service["build"]["context"] / service["build"]["dockerfile"]
        user = str(service.get("user") or last_user(path))
        if not re.match(r"^[1-9]\d*(:[1-9]\d*)?$", user):
            yield f"{name}: runs as {user!r}"


def privileges_are_dropped(compose: Compose) -> Iterator[str]:
    """Want no capabilities that are not asked for, and no way to more of them."""
    for name, service in compose.services.items():
        if service.get("cap_drop") != ["ALL"]:
            yield f"{name}: keeps its capabilities"
        if "no-new-privileges:true" not in service.get("security_opt", []):
            yield f"{name}: may gain privileges"
        if service.get("privileged"):
            yield f"{name}: is privileged"


def health_is_checked(compose: Compose) -> Iterator[str]:
    """Want a health check of everything that runs for long, and all that depends to wait for it."""
    for name, service in compose.services.items():
        if service["restart"] != "no" and "healthcheck" not in service:
            yield f"{name}: no health check"
        for other, how in service.get("depends_on", {}).items():
            if other not in compose.services:
                yield f"{name}: depends on {other}, which is not there"
                continue
            lasts = compose.services[other]["restart"] != "no"
            if how["condition"] != ("service_healthy" if lasts else "service_completed_successfully"):
                yield f"{name}: waits for {other} by {how['condition']}"


def volumes_are_declared(compose: Compose) -> Iterator[str]:
    """Want the named volumes to be those that are used, and what is mounted from here to exist."""
    used = set()
    for name, service in compose.services.items():
        for volume in service.get("volumes", []):
            source = volume.split(":")[0]
            if not source.startswith("."):
                used.add(source)
            elif not (compose.root / source).exists():
                yield f"{name}: {source} does not exist"
    declared = set(compose.document["volumes"])
    yield from (f"volume {volume} is used and not declared" for volume in used - declared)
    yield from (f"volume {volume} is declared and not used" for volume in declared - used)


def ports_stay_on_this_machine(compose: Compose) -> Iterator[str]:
    """Want each published port on the loopback."""
    for name, service in compose.services.items():
        ports = [str(port) for port in service.get("ports", [])]
        yield from (
            f"{name}: {port} is open to others" for port in ports if not port.startswith("127.0.0.1:")
        )


def consumers_scale(compose: Compose) -> Iterator[str]:
    """Refuse what there can be only one of, and a stop that comes before the last batch is committed."""
    for name, service in _consumers(compose).items():
        yield from (f"{name}: has {key}" for key in ("container_name", "ports", "hostname") if key in service)
        given = _DURATION.match(str(service.get("stop_grace_period", "10s")))
        needed = int(service["environment"]["FEEDBACK_SHUTDOWN_SECONDS"])
        if not given or int(given[1]) <= needed:
            yield f"{name}: is killed before {needed} s are over"


def variables_exist(compose: Compose) -> Iterator[str]:
    """Refuse a variable of ours, or of MLflow, that nothing reads."""
    known = _known_variables()
    for name, service in compose.services.items():
        environment = service.get("environment", {})
        for variable in environment:
            if variable.startswith(("FEEDBACK_", "MLFLOW_")) and variable not in known:
                yield f"{name}: nothing reads {variable}"
        yield from (
            f"{name}: {key} is no text" for key, value in environment.items() if not isinstance(value, str)
        )


def addresses_lead_somewhere(compose: Compose) -> Iterator[str]:
    """Want each address that a service of ours is given to be that of a service here."""
    for name, service in compose.ours.items():
        for variable, value in service["environment"].items():
            for host in re.findall(r"(?:^|://|@)([a-z][a-z0-9-]*):\d+", value):
                if host not in compose.services:
                    yield f"{name}: {variable} leads to {host}"


def commands_exist(compose: Compose) -> Iterator[str]:
    """Want each command of ours to be one that would run."""
    for name, service in compose.ours.items():
        words = service["command"]
        if words[0] == "feedback":
            yield from (f"{name}: {complaint}" for complaint in _refused(words[1:]))
        elif words[:2] != ["python", "-m"] or not _module(words[2]).is_file():
            yield f"{name}: what is {shlex.join(words)}?"


def images_can_be_built(compose: Compose) -> Iterator[str]:
    """Want each Dockerfile, and all that it copies, in the folder that it is given."""
    for path, context in compose.dockerfiles.items():
        if not path.is_file():
            yield f"{path} does not exist"
            continue
        files = build_context(context)
        yield from (f"the context of {path.name} has {name}" for name in (".env", ".git") if name in files)
        for source in copied(path):
            if not any(file == source or file.startswith(f"{source}/") for file in files):
                yield f"{path.name}: copies {source}, which is not there or ignored"


RULES: tuple[Callable[[Compose], Iterator[str]], ...] = (
    images_are_pinned,
    nothing_runs_as_root,
    privileges_are_dropped,
    health_is_checked,
    volumes_are_declared,
    ports_stay_on_this_machine,
    consumers_scale,
    variables_exist,
    addresses_lead_somewhere,
    commands_exist,
    images_can_be_built,
)


def _consumers(compose: Compose) -> dict[str, Service]:
    return {name: item for name, item in compose.ours.items() if item["command"][:2] == ["feedback", "run"]}


def _known_variables() -> set[str]:
    ours = {variable_name(field) for field in Settings.model_fields if field != "kafka"}
    kafka = {variable_name(f"kafka.{field}") for field in KafkaSettings.model_fields}
    apps = {api_variable(model, name) for model in (ApiSettings, ChatSettings) for name in model.model_fields}
    return ours | kafka | apps | set(vars(mlflow.environment_variables))


def _refused(words: list[str]) -> Iterator[str]:
    """Let the command line read the words, without running what they say."""
    command: Any = typer.main.get_command(app)
    context = command.make_context("feedback", list(words))
    while hasattr(command, "resolve_command"):
        rest = [*context._protected_args, *context.args]
        try:
            name, command, rest = command.resolve_command(context, rest)
            context = command.make_context(name, rest, parent=context)
        except Exception as error:  # noqa: BLE001 - of a library inside the library
            yield f"{shlex.join(words)}: {error}"
            return


def _module(name: str) -> Path:
    return ROOT.joinpath(*name.split("."), "__main__.py")
