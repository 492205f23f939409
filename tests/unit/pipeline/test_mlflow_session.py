"""The client's sessions: what the environment says of the way to a host counts, and is looked for once."""

from pathlib import Path

import pytest
import requests
from requests import sessions

from pipeline.adapters.mlflow_client import RememberingSession, configure_mlflow

URL = "https://mlflow.example:5000/api/3.0/mlflow/traces"


@pytest.fixture(autouse=True)
def _plain(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    for name in (
        "REQUESTS_CA_BUNDLE",
        "CURL_CA_BUNDLE",
        "https_proxy",
        "HTTPS_PROXY",
        "no_proxy",
        "NO_PROXY",
    ):
        monkeypatch.delenv(name, raising=False)
    monkeypatch.setenv("NETRC", str(tmp_path / "netrc"))
    monkeypatch.setattr(Path, "expanduser", lambda path: tmp_path / path.name)


def found(session: sessions.Session, url: str = URL, *, verify: bool | str = True) -> dict[str, object]:
    return dict(session.merge_environment_settings(url, {}, None, verify, None))


def test_the_client_makes_such_sessions(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(requests, "Session", sessions.Session)
    configure_mlflow(concurrency=1)
    assert requests.Session is RememberingSession


def test_what_the_environment_says_of_the_way_counts(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("https_proxy", "http://proxy.example:3128")
    monkeypatch.setenv("REQUESTS_CA_BUNDLE", "/ca.pem")
    monkeypatch.setenv("no_proxy", "other.example")
    session = RememberingSession()
    for _ in "twice":
        for url in (URL, "https://other.example/"):
            assert found(session, url) == found(sessions.Session(), url)
            assert found(session, url, verify=False)["verify"] is False
    assert found(session) == {
        "proxies": {"https": "http://proxy.example:3128", "no": "other.example"},
        "stream": False,
        "verify": "/ca.pem",
        "cert": None,
    }


def test_a_proxy_of_ones_own_counts() -> None:
    own = {"https": "http://own.example:3128"}
    session = RememberingSession()
    assert found(session)["proxies"] == {}
    assert session.merge_environment_settings(URL, dict(own), None, None, None)["proxies"] == own


def test_it_is_looked_for_once(monkeypatch: pytest.MonkeyPatch) -> None:
    session = RememberingSession()
    before = found(session)
    monkeypatch.setenv("https_proxy", "http://proxy.example:3128")
    assert found(session) == before


def test_a_netrc_file_counts_where_there_is_one(tmp_path: Path) -> None:
    assert not RememberingSession().trust_env
    (tmp_path / "netrc").write_text("machine mlflow.example login somebody password something\n")
    assert RememberingSession().prepare_request(requests.Request("GET", URL)).headers["Authorization"]
