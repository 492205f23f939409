"""The entry point ``feedback-batch-auth``: MLflow with its basic-auth app, and the bulk endpoints."""

import os
from collections.abc import Mapping

from fastapi import FastAPI
from mlflow.environment_variables import _MLFLOW_AUTH_ADMIN_BOOTSTRAPPED
from mlflow.server import _bootstrap_basic_auth
from mlflow.server import app as flask_app
from mlflow.server.handlers import STATIC_PREFIX_ENV_VAR

from feedback_batch import support
from feedback_batch.rights import AskedRights, Rights
from feedback_batch.routes import Endpoints, install

if not _MLFLOW_AUTH_ADMIN_BOOTSTRAPPED.get():
    # `mlflow server` does this for the app name "basic-auth" alone. It imports this module before it starts
    # its processes, and so what is not set ends it with one error instead of restarting them for ever.
    _bootstrap_basic_auth()
    os.environ[_MLFLOW_AUTH_ADMIN_BOOTSTRAPPED.name] = "true"


def create_app() -> FastAPI:
    """Give the app; ``mlflow server --app-name feedback-batch-auth`` calls it in each of its processes."""
    support.check_server()
    from mlflow.server import auth  # noqa: PLC0415 - importing it opens the users' database

    app = auth.create_app(flask_app)
    if not isinstance(app, FastAPI):
        msg = "feedback-batch-auth needs uvicorn, as `mlflow server` starts it"
        raise TypeError(msg)
    return install(app, Endpoints(_rights_of))


def _rights_of(headers: Mapping[str, str]) -> Rights:
    rights = AskedRights(flask_app, headers, os.environ.get(STATIC_PREFIX_ENV_VAR, "").rstrip("/"))
    rights.must_be_known()
    return rights
