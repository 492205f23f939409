"""With users, on servers that are set up otherwise: known by a name of their own, and with workspaces."""

from collections.abc import Mapping
from dataclasses import replace
from pathlib import Path
from uuid import uuid4

import httpx
import pytest
from support.bulk import Bulk, SqliteMlflow, TraceOf, an_item
from support.rights import MlflowAdmin
from support.secured import ADMIN, PASSWORD, SecuredSqlite

from local.home import Home
from local.lift import lift, lower
from local.processes import Launch
from local.progress import Silent

USER_PASSWORD = "pass-word-of-a-user"  # noqa: S105 - of servers that live for one test run


class OtherSecured(SecuredSqlite):
    """The server with users and more variables."""

    def __init__(self, home: Home, variables: Mapping[str, str]) -> None:
        super().__init__(home)
        self.variables = variables

    def launch(self, ports: dict[str, int]) -> Launch:
        """Run the app."""
        launch = super().launch(ports)
        return replace(launch, environment={**launch.environment, **self.variables})


@pytest.mark.parametrize(
    "variables",
    [{"MLFLOW_SERVER_ALLOWED_HOSTS": "127.0.0.1:*"}, {"MLFLOW_ENABLE_WORKSPACES": "true"}],
    ids=["hosts", "workspaces"],
)
def test_rights_are_what_mlflow_says_they_are(tmp_path: Path, variables: Mapping[str, str]) -> None:
    home = Home.at(tmp_path / "stack")
    home.make()
    server = OtherSecured(home, variables)
    address = lift([server], Silent())[server.name]
    try:
        as_admin = Bulk(address, SqliteMlflow(home).file, (ADMIN, PASSWORD))
        admin, user = MlflowAdmin(address), f"user-{uuid4().hex}"
        admin.make_user(user, USER_PASSWORD)
        as_user = replace(as_admin, auth=(user, USER_PASSWORD))
        ours, theirs = TraceOf(as_admin), TraceOf(as_admin)
        admin.grant(user, ours.experiment_id, "EDIT")
        admin.close()
        trace_id = ours("req-1")
        # More than a slice, as rights are asked for within each.
        many = [an_item(trace_id) for _ in range(1001)]
        assert as_user.statuses(*many, an_item(theirs())) == ["logged"] * 1001 + ["forbidden"]
        assert as_admin.statuses(an_item(theirs())) == ["logged"]
        asked = {"client_request_ids": ["req-1"], "experiment_ids": [ours.experiment_id]}
        assert list(as_user.ask("/resolve", json=asked).json()["traces"]) == ["req-1"]
        nobody = replace(as_admin, auth=None).ask("/resolve", json=asked)
        assert nobody.status_code == httpx.codes.UNAUTHORIZED
    finally:
        lower([server])
