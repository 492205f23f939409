"""What a library logs of an error: class and place, never its message."""

import io
import logging
from collections.abc import Iterator
from typing import Literal

import pytest

from consumers.logs import configure_logs
from consumers.settings import Settings

SECRET = "s3cret-comment-of-a-person"  # noqa: S105 - so that it can be looked for


@pytest.fixture
def root() -> Iterator[logging.Logger]:
    """The root logger, given back as it was."""
    root = logging.getLogger()
    kept = root.handlers, root.level
    yield root
    root.handlers, _ = kept
    root.setLevel(kept[1])


@pytest.mark.parametrize("form", ["json", "console"])
@pytest.mark.parametrize("level", ["DEBUG", "INFO"])
def test_a_library_s_traceback_tells_class_and_place_and_no_message(
    root: logging.Logger, form: Literal["json", "console"], level: Literal["DEBUG", "INFO"]
) -> None:
    own = io.StringIO()
    willful = logging.getLogger("a-library-with-a-handler-of-its-own")
    willful.addHandler(logging.StreamHandler(own))
    willful.propagate = False
    configure_logs(Settings(log_format=form, log_level=level))
    (handler,) = root.handlers
    assert isinstance(handler, logging.StreamHandler)
    written = handler.stream = io.StringIO()
    held = SECRET + "-in-a-local-variable"
    try:
        int(held)
    except ValueError as error:
        logging.getLogger("faststream").exception("handler failed")
        willful.exception("it failed")
        logging.getLogger("asyncio").exception("task failed", exc_info=error)
    text = written.getvalue()
    assert text.count("ValueError") == 3
    assert text.count("test_logged_errors.py") >= 3
    assert own.getvalue() == ""
    assert SECRET not in text
