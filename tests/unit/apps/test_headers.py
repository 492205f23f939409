"""Text in headers."""

from hypothesis import given
from hypothesis import strategies as st

from apps.feedback_api.headers import as_header, text_of


@given(st.text())
def test_utf_8_comes_and_goes(text: str) -> None:
    assert text_of(as_header(text)) == text


def test_latin_1_is_still_understood() -> None:
    assert text_of("Ren\xe9") == "René"
