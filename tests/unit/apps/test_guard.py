"""Who is let in by where a request comes from, and what is refused without a look at all of it."""

import pytest
from fastapi import Request

from apps.feedback_api.guard import check_host
from apps.feedback_api.problems import ProblemError


def request(**headers: str) -> Request:
    sent = [(name.replace("_", "-").encode(), value.encode()) for name, value in headers.items()]
    return Request({"type": "http", "method": "POST", "path": "/", "query_string": b"", "headers": sent})


@pytest.mark.parametrize("host", ["127.0.0.1:8000", "127.0.0.1", "[::1]:8000", "localhost:8000", "a.localhost"])
def test_who_is_open_is_asked_by_an_address(host: str) -> None:
    check_host(request(host=host))


@pytest.mark.parametrize("host", ["evil.example:8000", "localhost.evil.example", "127.0.0.1.evil.example", ""])
def test_a_name_that_leads_here_is_refused(host: str) -> None:
    with pytest.raises(ProblemError) as raised:
        check_host(request(host=host))
    assert raised.value.status == 403
