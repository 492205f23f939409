"""MLflow's client aimed at a server of a test's own."""

import os
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Final

import mlflow

_VARIABLE: Final = "MLFLOW_TRACKING_URI"


@contextmanager
def tracked_at(url: str) -> Iterator[None]:
    """Aim the client at a server, and back; it keeps the address in the environment as well."""
    before = os.environ.get(_VARIABLE)
    mlflow.set_tracking_uri(url)
    try:
        yield
    finally:
        mlflow.set_tracking_uri(before or "")
        if before is None:
            os.environ.pop(_VARIABLE, None)
