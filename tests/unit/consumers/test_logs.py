"""What a process writes to its log; in a process of its own, as logging is one for all."""

import json
import subprocess
import sys
import textwrap
from typing import Any

PROGRAM = """
    import logging
    import structlog
    from consumers.logs import configure_logs
    from consumers.settings import Settings

    early = structlog.get_logger("early")
    configure_logs(Settings(log_level=LEVEL, log_format=FORMAT))
    structlog.get_logger("consumers.x").info("batch_settled", records=3)
    early.warning("dependency_away", dependency="kafka")
    for name in ("aiokafka.consumer", "faststream", "uvicorn.error", "urllib3.x", "asyncio"):
        logging.getLogger(name).info("chatter of %s", name)
        logging.getLogger(name).warning("warning of %s", name)
    logging.getLogger("mine").debug("detail")
    try:
        1 / 0
    except ZeroDivisionError:
        logging.getLogger("aiokafka").exception("it broke", extra={"topic": "t"})
"""


def told(level: str = "INFO", form: str = "json") -> str:
    program = textwrap.dedent(PROGRAM).replace("LEVEL", repr(level)).replace("FORMAT", repr(form))
    done = subprocess.run([sys.executable, "-c", program], capture_output=True, text=True, check=True)
    assert done.stdout == ""
    return done.stderr


def lines(text: str) -> list[dict[str, Any]]:
    return [json.loads(line) for line in text.splitlines()]


def test_each_line_is_json_with_an_action_a_level_a_time_and_its_fields() -> None:
    first, second, *_ = lines(told())
    assert (first["action"], first["level"], first["logger"], first["records"]) == (
        "batch_settled",
        "info",
        "consumers.x",
        3,
    )
    assert first["timestamp"].endswith("Z")
    assert (second["action"], second["level"], second["dependency"]) == (
        "dependency_away",
        "warning",
        "kafka",
    )


def test_libraries_go_the_same_way_and_are_heard_from_warnings_on() -> None:
    found = {line["action"] for line in lines(told())}
    assert "warning of aiokafka.consumer" in found
    assert "warning of uvicorn.error" in found
    assert not [action for action in found if action.startswith("chatter")]
    assert "detail" not in found


def test_an_exception_is_one_line() -> None:
    last = lines(told())[-1]
    assert (last["action"], last["level"], last["topic"]) == ("it broke", "error", "t")
    assert last["error"] == "ZeroDivisionError"


def test_errors_only() -> None:
    assert [line["action"] for line in lines(told("ERROR"))] == ["it broke"]


def test_debug_is_ours_alone() -> None:
    found = {line["action"] for line in lines(told("DEBUG"))}
    assert "detail" in found
    assert not [action for action in found if action.startswith("chatter")]


def test_for_people() -> None:
    text = told(form="console")
    assert "batch_settled" in text
    assert "records=3" in text
    assert "\x1b" not in text  # no colours where nobody sees them
