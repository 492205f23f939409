"""Errors that commands tell in one line."""


class TopicError(RuntimeError):
    """Kafka refused to create a topic; the message names it and the reason."""


class DemoError(RuntimeError):
    """The demo cannot go on; the message says why and where the log is."""


class WorkersError(Exception):
    """Workers cannot be started as they are asked for."""
