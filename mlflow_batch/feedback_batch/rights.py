"""Who may do what: MLflow itself is asked, as it would be for a single assessment."""

from collections.abc import Mapping, Sequence
from contextvars import copy_context
from typing import Final, NamedTuple, Protocol
from urllib.parse import quote

from flask import Flask

from feedback_batch.errors import RequestError

_OF_THE_BODY: Final = ("content-", "transfer-encoding", "expect")
"""Headers of the batch, which the requests that are asked about do not have."""

_FORBIDDEN: Final = 403
_UNAUTHORIZED: Final = 401


class May(NamedTuple):
    """What a caller may do with assessments in one experiment."""

    create: bool
    edit: bool
    delete: bool


class Rights(Protocol):
    """The rights of the caller of one request."""

    is_needed: bool
    all: May

    def of(self, experiment_id: str, trace_id: str) -> May:
        """Give what the caller may do in an experiment; the trace is one of that."""

    def must_read(self, experiment_ids: Sequence[str]) -> None:
        """Refuse who may not read the traces of all these experiments.

        Raises:
            RequestError: when one of them may not be read.

        """


class AllRights:
    """`Rights` on a server without users."""

    is_needed = False
    all = May(create=True, edit=True, delete=True)

    def of(self, experiment_id: str, trace_id: str) -> May:
        """Give all of them."""
        del experiment_id, trace_id
        return self.all

    def must_read(self, experiment_ids: Sequence[str]) -> None:
        """Refuse nobody."""


class AskedRights:
    """`Rights` by the hooks that MLflow's Flask app runs before every request.

    They are run for the requests that would have created, edited and deleted one assessment of the trace,
    with the caller's own headers. So whatever MLflow decides, by users, roles or an authorization function of
    the operator's, is what holds here, too.
    """

    is_needed = True
    all = May(create=False, edit=False, delete=False)

    def __init__(self, app: Flask, headers: Mapping[str, str], prefix: str) -> None:
        self._app = app
        self._headers = [
            (key, value) for key, value in headers.items() if not key.lower().startswith(_OF_THE_BODY)
        ]
        self._prefix = prefix
        self._known: dict[str, May] = {}

    def of(self, experiment_id: str, trace_id: str) -> May:
        """Ask for an experiment, once in a request.

        Raises:
            RequestError: when the caller is nobody.

        """
        if "/" in trace_id:
            # No address reaches it, so MLflow cannot be asked about it, but about another of the experiment.
            return self._known.get(experiment_id, self.all)
        if experiment_id not in self._known:
            path = f"/api/3.0/mlflow/traces/{quote(trace_id, safe='')}/assessments"
            self._known[experiment_id] = May(
                create=self._may("POST", path),
                edit=self._may("PATCH", f"{path}/a-0"),
                delete=self._may("DELETE", f"{path}/a-0"),
            )
        return self._known[experiment_id]

    def must_be_known(self) -> None:
        """Refuse a caller who is nobody, before he learns anything.

        Raises:
            RequestError: when he is.

        """
        self._may("GET", "/api/2.0/mlflow/users/current")

    def must_read(self, experiment_ids: Sequence[str]) -> None:
        """Refuse who may not read the traces of all these experiments.

        Raises:
            RequestError: when one of them may not be read.

        """
        for experiment_id in experiment_ids:
            location = {"type": "MLFLOW_EXPERIMENT", "mlflow_experiment": {"experiment_id": experiment_id}}
            if not self._may("POST", "/api/3.0/mlflow/traces/search", {"locations": [location]}):
                raise RequestError(
                    403, "PERMISSION_DENIED", f"no right to read the traces of experiment {experiment_id}"
                )

    def _may(self, method: str, path: str, body: object = None) -> bool:
        """Tell whether a request would be let through.

        Raises:
            RequestError: when the caller is nobody, or MLflow could not tell.

        """
        # In a context of its own: the end of a request also takes our own request's workspace away.
        status = copy_context().run(self._status, method, self._prefix + path, body)
        if status is None:
            return True
        if status == _UNAUTHORIZED:
            raise RequestError(401, "UNAUTHENTICATED", "send a user and a password of this MLflow server")
        if status != _FORBIDDEN:
            raise RequestError.away(f"MLflow answered {status} when asked for the caller's rights")
        return False

    def _status(self, method: str, path: str, body: object) -> int | None:
        """Give the status of the answer of MLflow's hooks, None where they let a request through."""
        sent = {} if body is None else {"json": body}
        with self._app.test_request_context(path, method=method, headers=self._headers, **sent):
            answer = self._app.preprocess_request()
            return None if answer is None else self._app.make_response(answer).status_code
