"""The entry point ``feedback-batch``: MLflow's own app, and the bulk endpoints."""

from fastapi import FastAPI

from feedback_batch import support
from feedback_batch.rights import AllRights
from feedback_batch.routes import Endpoints, install


def create_app() -> FastAPI:
    """Give the app; ``mlflow server --app-name feedback-batch`` calls it in each of its processes."""
    support.check_server()
    from mlflow.server.fastapi_app import app  # noqa: PLC0415 - importing it sets MLflow up

    return install(app, Endpoints(lambda _: AllRights()))
