"""Logs: every line carries a stable ``action``; FastStream's and aiokafka's lines go the same way."""

import logging
import sys

import structlog
from structlog.typing import EventDict, Processor

from consumers.driver import described
from consumers.settings import Settings

_SHARED: list[Processor] = [
    structlog.contextvars.merge_contextvars,
    structlog.stdlib.add_log_level,
    structlog.stdlib.add_logger_name,
    structlog.stdlib.ExtraAdder(),
    structlog.processors.TimeStamper(fmt="iso", utc=True),
]


def without_message(_logger: object, _method: str, event: EventDict) -> EventDict:
    """Tell an exception by its class and place, also where a library logs it.

    Its message may hold what somebody wrote, and a renderer for people would add all local variables.
    """
    given = event.pop("exc_info", None)
    error = given[1] if isinstance(given, tuple) else given
    if error is True:
        error = sys.exc_info()[1]
    return {**event, **described(error)} if isinstance(error, BaseException) else event


def configure_logs(settings: Settings) -> None:
    """Send all logs to standard error in one format; call once, at the start of a process."""
    renderer: Processor = (
        structlog.processors.JSONRenderer()
        if settings.log_format == "json"
        else structlog.dev.ConsoleRenderer(colors=sys.stderr.isatty(), event_key="action")
    )
    structlog.configure(
        processors=[*_SHARED, structlog.stdlib.ProcessorFormatter.wrap_for_formatter],
        logger_factory=structlog.stdlib.LoggerFactory(),
        wrapper_class=structlog.stdlib.BoundLogger,
        cache_logger_on_first_use=True,
    )
    handler = logging.StreamHandler()
    handler.setFormatter(
        structlog.stdlib.ProcessorFormatter(
            foreign_pre_chain=_SHARED,
            processors=[
                structlog.stdlib.ProcessorFormatter.remove_processors_meta,
                structlog.processors.EventRenamer("action"),
                without_message,
                renderer,
            ],
        )
    )
    # Libraries that write by themselves, as FastStream and MLflow do, would go past what is said above.
    for name in list(logging.root.manager.loggerDict):
        logging.getLogger(name).handlers.clear()
        logging.getLogger(name).propagate = True
    root = logging.getLogger()
    root.handlers = [handler]
    root.setLevel(settings.log_level)
    for chatty in ("aiokafka", "faststream", "uvicorn", "urllib3", "asyncio"):
        logging.getLogger(chatty).setLevel(max(logging.WARNING, logging.getLevelName(settings.log_level)))
