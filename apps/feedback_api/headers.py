"""Text in headers: HTTP carries bytes, which servers read as Latin-1, and what people send is UTF-8."""

from typing import Annotated

from pydantic import BeforeValidator

from contracts.fields import Name


def text_of(value: str) -> str:
    """Give what was sent: UTF-8 where it is that, else Latin-1."""
    try:
        return value.encode("latin-1").decode()
    except UnicodeError:
        return value


def as_header(text: str) -> str:
    """Give what a server writes as the text's UTF-8."""
    return text.encode().decode("latin-1")


def _text_of(value: object) -> object:
    return text_of(value) if isinstance(value, str) else value


HeaderName = Annotated[Name, BeforeValidator(_text_of)]
