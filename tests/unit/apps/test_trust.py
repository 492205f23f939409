"""Tokens, rates, keys, and what may be said."""

from datetime import UTC, datetime, timedelta
from typing import Any

import jwt
import pytest
from hypothesis import given
from hypothesis import strategies as st

from apps.feedback_api.callers import OpenCaller, PageCaller, ServiceCaller, Trust
from apps.feedback_api.keys import SeenKeys
from apps.feedback_api.models import FeedbackIn
from apps.feedback_api.problems import ProblemError
from apps.feedback_api.rates import Rates
from apps.feedback_api.say import Stamp, about, event, event_id_of, granted
from apps.feedback_api.settings import ApiSettings, load_api_settings
from apps.feedback_api.tokens import Grant, TokenError, TokenKeys
from consumers.settings import SettingsError
from contracts.events import FeedbackEvent
from contracts.identity import NAMESPACE
from pipeline.versions import versions_of

NOW = datetime(2026, 1, 31, 12, tzinfo=UTC)
OLD, NEW = "o" * 40, "n" * 40


def grant(**given: Any) -> Grant:
    fields: dict[str, Any] = {
        "client_request_id": "req-1",
        "trace_id": "tr-1",
        "user": "anna",
        "names": ("helpful",),
        "expires_at": NOW + timedelta(hours=1),
    }
    return Grant(**(fields | given))


@given(
    st.text(max_size=40) | st.none(),
    st.lists(st.text(min_size=1, max_size=20), max_size=4).map(tuple),
    st.integers(1, 10**6),
)
def test_a_token_says_what_was_granted(user: str | None, names: tuple[str, ...], seconds: int) -> None:
    given = grant(user=user, names=names, expires_at=NOW + timedelta(seconds=seconds))
    keys = TokenKeys({"a": NEW})
    assert keys.read(keys.sign(given), now=NOW) == given


def test_a_token_that_would_not_be_read_is_not_made() -> None:
    names = tuple(f"name-{number}" for number in range(400))
    grant = Grant(client_request_id="r", trace_id=None, user=None, names=names, expires_at=NOW)
    with pytest.raises(ValueError, match="allow fewer names"):
        TokenKeys({"k": "x" * 32}).sign(grant)


def test_an_old_key_is_trusted_until_it_is_taken_away() -> None:
    token = TokenKeys({"old": OLD}).sign(grant())
    assert TokenKeys({"new": NEW, "old": OLD}).read(token, now=NOW).user == "anna"
    with pytest.raises(TokenError, match="not one of ours"):
        TokenKeys({"new": NEW}).read(token, now=NOW)


def test_a_token_ends() -> None:
    keys = TokenKeys({"a": NEW})
    token = keys.sign(grant())
    assert keys.read(token, now=NOW + timedelta(minutes=59))
    with pytest.raises(TokenError, match="expired"):
        keys.read(token, now=NOW + timedelta(hours=1))


@pytest.mark.parametrize(
    "token",
    [
        "",
        "x",
        "a.b.c",
        "x" * 10_000,
        jwt.encode({"aud": "feedback", "exp": 9_999_999_999, "names": []}, "", algorithm="none"),
        jwt.encode({"aud": "other", "exp": 9_999_999_999, "names": []}, NEW, headers={"kid": "a"}),
        jwt.encode({"aud": "feedback", "names": []}, NEW, headers={"kid": "a"}),
        jwt.encode({"aud": "feedback", "exp": 9_999_999_999}, NEW, headers={"kid": "a"}),
        jwt.encode({"aud": "feedback", "exp": 10**30, "names": []}, NEW, headers={"kid": "a"}),
        jwt.encode({"aud": "feedback", "exp": 9_999_999_999, "names": 5}, NEW, headers={"kid": "a"}),
    ],
)
def test_what_is_no_token_of_ours_is_refused(token: str) -> None:
    with pytest.raises(TokenError, match="not one of ours"):
        TokenKeys({"a": NEW}).read(token, now=NOW)


def trust(**given: Any) -> Trust:
    return Trust(TokenKeys({"a": NEW}), {"judge": OLD}, given.get("is_open", False))


def test_a_wrong_token_is_refused_also_where_none_is_needed() -> None:
    with pytest.raises(ProblemError, match="not one of ours"):
        trust(is_open=True).caller(token="x", authorization=None, user=None, now=NOW)  # noqa: S106
    caller = trust(is_open=True).caller(token=None, authorization=None, user="u", now=NOW)
    assert caller == OpenCaller("u")


@pytest.mark.parametrize("header", ["Bearer", f"Basic {OLD}", f"Bearer {OLD}x", "Bearer ", "Bearer ü"])
def test_a_key_is_compared_as_a_whole(header: str) -> None:
    with pytest.raises(ProblemError) as raised:
        trust().caller(token=None, authorization=header, user=None, now=NOW)
    assert raised.value.status == 401


def test_a_service_is_known_by_its_key() -> None:
    assert trust().caller(token=None, authorization=f"Bearer {OLD}", user=None, now=NOW) == ServiceCaller(
        "judge"
    )


def said(**given: Any) -> FeedbackIn:
    return FeedbackIn.model_validate({"assessments": [{"name": "helpful", "value": True}], **given})


def test_with_a_token_the_user_is_the_tokens_and_both_ids_are_sent() -> None:
    caller = PageCaller(grant())
    asked = said(feedback_id="would make anna another person")
    made = event(asked, caller, about(asked, granted(caller)), Stamp(NAMESPACE, NOW))
    assert (made.source.type, made.source.id, made.feedback_id) == ("HUMAN", "anna", None)
    assert (made.client_request_id, made.trace_id) == ("req-1", "tr-1")
    assert (made.submitted_at, made.event_id) == (NOW, NAMESPACE)


@pytest.mark.parametrize(("key", "value"), [("client_request_id", "req-2"), ("trace_id", "tr-2")])
def test_a_token_is_for_one_request(key: str, value: str) -> None:
    with pytest.raises(ProblemError) as raised:
        about(said(**{key: value}), granted(PageCaller(grant())))
    assert raised.value.status == 403


def made_by(user: str | None, **given: Any) -> FeedbackEvent:
    caller = PageCaller(grant(user=user))
    asked = said(**given)
    return event(asked, caller, about(asked, granted(caller)), Stamp(NAMESPACE, NOW))


def test_who_is_not_signed_in_is_never_a_user_whatever_id_the_page_makes_up() -> None:
    (anna,) = versions_of(made_by("anna"))
    ids = {versions_of(made_by(None, feedback_id=one))[0].feedback_id for one in ("anna", "bert", "anna")}
    assert len(ids) == 2, "the same again is an edit"
    assert anna.feedback_id not in ids
    assert made_by(None, feedback_id="anna").source.id is None


def test_a_token_without_a_user_names_nobody() -> None:
    with pytest.raises(ProblemError) as raised:
        made_by(None, feedback_id="page", source={"type": "HUMAN", "id": "anna"})
    assert raised.value.status == 403
    with pytest.raises(ProblemError) as raised:
        made_by(None)
    assert raised.value.status == 422


def test_an_idempotency_key_makes_one_event_of_a_retry_and_of_nothing_else() -> None:
    assert event_id_of("page:anna:r", "k", 0) == event_id_of("page:anna:r", "k", 0)
    ids = {event_id_of(*parts) for parts in [("a", "k", 0), ("b", "k", 0), ("a", "l", 0), ("a", "k", 1)]}
    assert len(ids) == 4


def test_a_retry_keeps_its_time_and_another_request_may_not_use_its_key() -> None:
    seen = SeenKeys(most=2)
    assert seen.time_of("a", "k", b"1", now=NOW) == NOW
    assert seen.time_of("a", "k", b"1", now=NOW + timedelta(hours=1)) == NOW
    assert seen.time_of("b", "k", b"2", now=NOW + timedelta(hours=1)) == NOW + timedelta(hours=1)
    with pytest.raises(ProblemError) as raised:
        seen.time_of("a", "k", b"2", now=NOW)
    assert raised.value.status == 409
    seen.time_of("c", "k", b"3", now=NOW + timedelta(hours=2))
    assert len(seen) == 2, "it forgets the oldest"
    assert seen.time_of("c", "k", b"9", now=NOW + timedelta(days=2)) == NOW + timedelta(days=2)


@pytest.mark.parametrize("key", ["", "x" * 256])
def test_what_is_no_key_is_refused(key: str) -> None:
    with pytest.raises(ProblemError) as raised:
        SeenKeys().time_of("a", key, b"", now=NOW)
    assert raised.value.status == 422


async def test_rates_are_counted_by_user_and_refuse_a_list_as_a_whole() -> None:
    rates = Rates(ApiSettings(rate_user="3/minute"))
    await rates.user("anna", 2)
    with pytest.raises(ProblemError) as raised:
        await rates.user("anna", 2)
    assert raised.value.status == 429
    assert 0 < int(raised.value.headers["Retry-After"]) <= 60
    await rates.user("anna", 1)
    await rates.user("bert", 3)


async def test_without_a_rate_there_is_no_limit() -> None:
    rates = Rates(ApiSettings(rate_address=""))
    for _ in range(5000):
        await rates.address("127.0.0.1")


@pytest.mark.parametrize(
    ("field", "value", "complaint"),
    [
        ("token_keys", "geheim", "FEEDBACK_API_TOKEN_KEYS: part 1 is not id:secret"),
        ("token_keys", f"a:{NEW},a:{OLD}", "part 2"),
        ("service_keys", "a:short", "FEEDBACK_API_SERVICE_KEYS: the secret of part 1 has fewer than 32"),
        ("rate_user", "often", "FEEDBACK_API_RATE_USER: is no rate"),
        ("body_bytes", "-7", "FEEDBACK_API_BODY_BYTES"),
        ("rate_storage", "memory://", "FEEDBACK_API_RATE_STORAGE: is no storage"),
        ("rate_storage", "nonsense://user:geheim@host", "begins with async"),
    ],
)
def test_a_wrong_setting_is_named_without_its_secret(field: str, value: str, complaint: str) -> None:
    with pytest.raises(SettingsError, match=complaint) as raised:
        load_api_settings(**{field: value})
    assert value not in str(raised.value)


def test_a_user_has_one_rate_for_all_answers_and_who_has_no_name_one_for_each() -> None:
    assert {PageCaller(grant(client_request_id=one)).counted_as for one in "ab"} == {"user:anna"}
    assert len({PageCaller(grant(user=None, client_request_id=one)).counted_as for one in "ab"}) == 2
    assert len({PageCaller(grant(client_request_id=one)).name for one in "ab"}) == 2, "of one answer"
