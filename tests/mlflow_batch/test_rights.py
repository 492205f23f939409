"""With users: who may do nothing elsewhere may do nothing in bulk, item by item."""

from collections.abc import Iterator
from dataclasses import replace
from uuid import uuid4

import httpx
import pytest
from support.bulk import Bulk, SqliteMlflow, TraceOf, a_withdrawal, an_item, marks
from support.rights import MlflowAdmin
from support.secured import ADMIN, PASSWORD, SecuredSqlite

from local.home import Home
from local.lift import lift, lower
from local.progress import Silent

USER_PASSWORD = "pass-word-of-a-user"  # noqa: S105 - of servers that live for one test run


@pytest.fixture(scope="module")
def as_admin(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Bulk]:
    home = Home.at(tmp_path_factory.mktemp("secured") / "stack")
    home.make()
    server = SecuredSqlite(home)
    address = lift([server], Silent())[server.name]
    yield Bulk(address, SqliteMlflow(home).file, (ADMIN, PASSWORD))
    lower([server])


@pytest.fixture
def admin(as_admin: Bulk) -> Iterator[MlflowAdmin]:
    admin = MlflowAdmin(as_admin.url)
    yield admin
    admin.close()


@pytest.fixture
def as_user(as_admin: Bulk, admin: MlflowAdmin) -> Bulk:
    """Someone without any right yet."""
    name = f"user-{uuid4().hex}"
    admin.make_user(name, USER_PASSWORD)
    return replace(as_admin, auth=(name, USER_PASSWORD))


def name_of(bulk: Bulk) -> str:
    assert bulk.auth is not None
    return bulk.auth[0]


@pytest.mark.parametrize("auth", [None, (ADMIN, "wrong"), ("nobody", USER_PASSWORD)])
@pytest.mark.parametrize("path", ["/assessments", "/resolve"])
def test_nobody_learns_nothing(as_admin: Bulk, auth: tuple[str, str] | None, path: str) -> None:
    answer = replace(as_admin, auth=auth).ask(path, json={"items": [1], "client_request_ids": 3})
    assert answer.status_code == 401
    assert answer.json()["error_code"] == "UNAUTHENTICATED"


def test_an_admin_may_everything(as_admin: Bulk) -> None:
    item = an_item(TraceOf(as_admin)())
    assert as_admin.statuses(item) == ["logged"]
    assert as_admin.statuses(a_withdrawal(item, 1)) == ["withdrawn"]


def test_a_batch_over_two_experiments_writes_only_the_one_with_rights(
    as_admin: Bulk, as_user: Bulk, admin: MlflowAdmin
) -> None:
    ours, theirs = TraceOf(as_admin), TraceOf(as_admin)
    admin.grant(name_of(as_user), ours.experiment_id, "EDIT")
    mine, other = an_item(ours()), an_item(theirs())
    assert as_user.statuses(mine, other, an_item("tr-none")) == ["logged", "forbidden", "no_such_trace"]
    assert as_admin.row(other["assessment_id"]) is None
    as_admin.write(other)
    edits = [item | {"value": False, "metadata": marks(1)} for item in (mine, other)]
    assert as_user.statuses(*edits) == ["logged", "forbidden"]
    assert as_user.statuses(*(a_withdrawal(item, 2) for item in (mine, other))) == ["withdrawn", "forbidden"]
    kept = as_admin.row(other["assessment_id"])
    assert kept is not None
    assert kept["value"] == "true"


@pytest.mark.parametrize("permission", ["READ", None])
def test_who_may_only_read_writes_nothing(
    as_admin: Bulk, as_user: Bulk, admin: MlflowAdmin, permission: str | None
) -> None:
    traces = TraceOf(as_admin)
    if permission:
        admin.grant(name_of(as_user), traces.experiment_id, permission)
    item = an_item(traces())
    assert as_user.statuses(item, a_withdrawal(item, 1) | {"assessment_id": "a-1"}) == ["forbidden"] * 2
    assert as_admin.row(item["assessment_id"]) is None


@pytest.mark.parametrize("permission", ["READ", "EDIT", None])
def test_it_decides_as_mlflow_does_for_a_single_one(
    as_admin: Bulk, as_user: Bulk, admin: MlflowAdmin, permission: str | None
) -> None:
    traces = TraceOf(as_admin)
    if permission:
        admin.grant(name_of(as_user), traces.experiment_id, permission)
    trace_id = traces()
    body = {
        "assessment": {
            "assessment_name": "helpful",
            "source": {"source_type": "HUMAN", "source_id": "anna"},
            "feedback": {"value": True},
        }
    }
    url = f"{as_user.url}/api/3.0/mlflow/traces/{trace_id}/assessments"
    alone = httpx.post(url, json=body, auth=as_user.auth, timeout=30)
    assert (as_user.statuses(an_item(trace_id)) == ["logged"]) == alone.is_success


def test_traces_are_found_only_by_who_may_read_them(
    as_admin: Bulk, as_user: Bulk, admin: MlflowAdmin
) -> None:
    ours, theirs = TraceOf(as_admin), TraceOf(as_admin)
    admin.grant(name_of(as_user), ours.experiment_id, "READ")
    request_id = uuid4().hex
    trace_id = ours(request_id)
    theirs(request_id)
    asked = {"client_request_ids": [request_id], "experiment_ids": [ours.experiment_id]}
    found = as_user.ask("/resolve", json=asked).raise_for_status().json()["traces"]
    assert found[request_id]["trace_id"] == trace_id
    asked["experiment_ids"].append(theirs.experiment_id)
    answer = as_user.ask("/resolve", json=asked)
    assert (answer.status_code, answer.json()["error_code"]) == (403, "PERMISSION_DENIED")


def test_mlflow_s_own_rights_hold_as_before(as_admin: Bulk, as_user: Bulk) -> None:
    search = f"{as_user.url}/api/2.0/mlflow/experiments/search"
    assert httpx.post(search, json={"max_results": 1}, timeout=30).status_code == 401
    assert httpx.post(search, json={"max_results": 1}, auth=as_user.auth, timeout=30).is_success
    trace_id = TraceOf(as_admin)()
    url = f"{as_user.url}/api/3.0/mlflow/traces/{trace_id}"
    assert httpx.get(url, auth=as_user.auth, timeout=30).status_code == 403


@pytest.mark.parametrize("hidden", ["tr/{}", "{}/mlflow/webhooks"])
def test_a_trace_that_no_address_reaches_decides_nothing(
    as_admin: Bulk, as_user: Bulk, admin: MlflowAdmin, hidden: str
) -> None:
    """MLflow would take the request to write there for another one, and let it through or not."""
    traces = TraceOf(as_admin)
    traces_ids = [traces(trace_id=hidden.format(uuid4().hex[:20])), traces()]
    for permission, status in (("READ", "forbidden"), ("EDIT", "logged")):
        admin.grant(name_of(as_user), traces.experiment_id, permission)
        assert as_user.statuses(*map(an_item, traces_ids)) == [status] * 2


@pytest.mark.parametrize("spelling", ["0{}", " {}", "+{}"])
def test_another_spelling_of_an_experiment_is_that_experiment(
    as_admin: Bulk, as_user: Bulk, admin: MlflowAdmin, spelling: str
) -> None:
    ours, theirs = TraceOf(as_admin), TraceOf(as_admin)
    admin.grant(name_of(as_user), ours.experiment_id, "READ")
    asked = {"client_request_ids": ["a"], "experiment_ids": [spelling.format(ours.experiment_id)]}
    assert as_user.ask("/resolve", json=asked).json() == {"traces": {}}
    # A right to what has that name, and is no experiment, gives none to the experiment.
    name = spelling.format(theirs.experiment_id)
    admin.grant(name_of(as_user), name, "READ")
    assert as_user.ask("/resolve", json=asked | {"experiment_ids": [name]}).status_code == 403


@pytest.mark.parametrize(("permission", "is_told"), [("EDIT", True), ("READ", False), (None, False)])
def test_where_it_stands_is_told_only_to_who_may_write_there(
    as_admin: Bulk, as_user: Bulk, admin: MlflowAdmin, permission: str | None, *, is_told: bool
) -> None:
    ours, theirs = TraceOf(as_admin), TraceOf(as_admin)
    admin.grant(name_of(as_user), ours.experiment_id, "EDIT")
    if permission:
        admin.grant(name_of(as_user), theirs.experiment_id, permission)
    standing = an_item(theirs())
    as_admin.write(standing)
    for trace_id in (ours(), "tr-none"):
        moved = standing | {"trace_id": trace_id, "metadata": marks(1)}
        for asked in (moved, a_withdrawal(moved, 2)):
            (outcome,) = as_user.outcomes(asked)
            assert outcome.get("trace_id") == (standing["trace_id"] if is_told else None)


def test_what_stands_elsewhere_is_not_kept_from_its_owners(
    as_admin: Bulk, as_user: Bulk, admin: MlflowAdmin
) -> None:
    """A withdrawal on a trace of one's own buries nothing on the traces of others, there already or not."""
    ours, theirs = TraceOf(as_admin), TraceOf(as_admin)
    admin.grant(name_of(as_user), ours.experiment_id, "EDIT")
    standing, coming = an_item(theirs()), an_item(theirs())
    as_admin.write(standing)
    mine = ours()
    as_user.write(*(a_withdrawal(item | {"trace_id": mine}, 9) for item in (standing, coming)))
    edit = standing | {"value": False, "metadata": marks(1)}
    assert as_admin.statuses(edit, coming) == ["logged", "logged"]
