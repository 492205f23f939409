import json
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import pytest
from typer.testing import CliRunner

from contracts.check import Finding, check
from contracts.cli import app

NOW = datetime(2026, 2, 1, tzinfo=UTC)

CHAT: dict[str, Any] = {
    "type": "ChatCompleted",
    "event_id": "0b5f8a52-7f44-4d0c-8d4e-2f1f9a3c6d10",
    "client_request_id": "req-1",
    "trace_id": "tr-4bf92f3577b34da6a3ce929d0e0e4736",
    "completed_at": "2026-01-31T12:00:00Z",
}
FEEDBACK: dict[str, Any] = {
    "type": "FeedbackSubmitted",
    "event_id": "0b5f8a52-7f44-4d0c-8d4e-2f1f9a3c6d11",
    "client_request_id": "req-1",
    "source": {"type": "HUMAN", "id": "anna"},
    "submitted_at": "2026-01-31T12:00:00Z",
    "assessments": [{"name": "helpful", "value": True, "rationale": "a secret comment"}],
}


def findings(document: object) -> list[Finding]:
    return list(check(json.dumps(document).encode(), now=NOW).findings)


def without(document: dict[str, Any], *fields: str) -> dict[str, Any]:
    return {key: value for key, value in document.items() if key not in fields}


def test_a_good_event_has_no_findings() -> None:
    report = check(json.dumps(FEEDBACK, indent=2).encode(), now=NOW)
    assert (report.ok, report.bad, report.findings) == (1, 0, ())


def test_a_list_is_checked_by_index() -> None:
    report = check(json.dumps([CHAT, without(CHAT, "client_request_id"), FEEDBACK]).encode(), now=NOW)
    assert (report.ok, report.bad) == (2, 1)
    assert report.findings == (Finding("index 1", "error", "client_request_id", "is missing"),)


def test_lines_are_checked_by_number_and_empty_ones_passed_over() -> None:
    lines = [json.dumps(CHAT), "", '{"type": "Chat', json.dumps(FEEDBACK), ""]
    report = check("\r\n".join(lines).encode(), now=NOW)
    assert (report.ok, report.bad) == (2, 1)
    assert [(found.place, found.field) for found in report.findings] == [("line 3", "the value")]
    assert "is not JSON" in report.findings[0].message


@pytest.mark.parametrize("data", [b"", b"  \n ", b'{\n  "type": "ChatCompleted",\n', b"[\n {},\n"])
def test_a_file_that_is_empty_or_broken_off_is_one_bad_event(data: bytes) -> None:
    report = check(data, now=NOW)
    assert (report.ok, report.bad) == (0, 1)
    assert report.findings[0].place == "the file"


@pytest.mark.parametrize(
    "data", [b"\xff\xfe{\x00}\x00", b"null", b"12", b'"text"', b"[" * 5000, b"NaN", b"[]x"]
)
def test_what_is_no_event_is_bad(data: bytes) -> None:
    assert check(data, now=NOW).bad == 1


def test_an_empty_list_holds_no_event() -> None:
    report = check(b"[]", now=NOW)
    assert (report.ok, report.bad, report.findings) == (0, 0, ())


@pytest.mark.parametrize(
    ("document", "field", "mend"),
    [
        ({**FEEDBACK, "feedbackId": "x"}, "feedbackId", "did you mean feedback_id?"),
        ({**CHAT, "sesion_id": "x"}, "sesion_id", "did you mean session_id?"),
        ({**FEEDBACK, "source": {"type": "HUMAN", "ID": "x"}}, "source.ID", "did you mean id?"),
        (
            {**FEEDBACK, "assessments": [{"name": "a", "value": 1, "rational": "secret"}]},
            "assessments.0.rational",
            "did you mean rationale?",
        ),
        ({**FEEDBACK, "zzz": 1}, "zzz", "the fields here are event_id, client_request_id,"),
        ({**FEEDBACK, "a secret comment": 1}, "(a key)", "the fields here are"),
        ({**FEEDBACK, "type": "feedback_submitted"}, "type", "did you mean FeedbackSubmitted?"),
        (
            {**FEEDBACK, "type": "a secret comment"},
            "type",
            "it must be one of ChatCompleted, FeedbackSubmitted",
        ),
    ],
)
def test_an_unknown_field_or_type_is_an_error_with_a_guess(
    document: dict[str, Any], field: str, mend: str
) -> None:
    (found,) = findings(document)
    assert (found.severity, found.field) == ("error", field)
    assert mend in found.message
    assert "secret" not in found.message


@pytest.mark.parametrize("field", ["event_id", "submitted_at"])
def test_what_only_the_sender_can_say_is_required(field: str) -> None:
    (found,) = findings(without(FEEDBACK, field))
    assert (found.severity, found.field) == ("error", field)
    assert "is missing; send" in found.message


def test_all_errors_of_an_event_are_told_at_once() -> None:
    wrong = {"type": "FeedbackSubmitted", "source": {"type": "ROBOT"}, "assessments": [], "more": 1}
    fields = [found.field for found in findings(wrong)]
    assert fields == ["event_id", "submitted_at", "source.type", "assessments", "more"]


def test_a_clock_ahead_is_an_error() -> None:
    ahead = {**FEEDBACK, "submitted_at": (NOW + timedelta(minutes=11)).isoformat()}
    (found,) = findings(ahead)
    assert found.field == "submitted_at"
    assert "660 s ahead" in found.message
    assert "10 minutes" in found.message


def test_anonymous_feedback_without_a_feedback_id_is_warned_of_and_passes() -> None:
    report = check(json.dumps({**FEEDBACK, "source": {"type": "HUMAN"}}).encode(), now=NOW)
    assert (report.ok, report.bad) == (1, 0)
    (found,) = report.findings
    assert (found.severity, found.field) == ("warning", "feedback_id")
    assert "every click counts as another person" in found.message


def test_a_chat_without_a_trace_id_is_warned_of() -> None:
    (found,) = findings(without(CHAT, "trace_id"))
    assert (found.severity, found.field) == ("warning", "trace_id")


def test_an_event_id_in_another_spelling_is_warned_of() -> None:
    (found,) = findings({**CHAT, "event_id": CHAT["event_id"].upper()})
    assert (found.severity, found.field) == ("warning", "event_id")
    assert CHAT["event_id"] in found.message


runner = CliRunner()


def test_the_command_prints_findings_and_counts_and_exits_with_1(tmp_path: Path) -> None:
    file = tmp_path / "events.jsonl"
    file.write_text(json.dumps(CHAT) + "\n" + json.dumps({**FEEDBACK, "soruce": {}}) + "\n")
    result = runner.invoke(app, ["check", str(file)])
    assert result.exit_code == 1
    lines = result.stdout.splitlines()
    assert lines[0] == "line 2: error: soruce: is not a field of this event; did you mean source?"
    assert lines[1] == "1 ok, 1 bad"


def test_the_command_exits_with_0_when_there_are_only_warnings(tmp_path: Path) -> None:
    file = tmp_path / "event.json"
    file.write_text(json.dumps(without(CHAT, "trace_id")))
    result = runner.invoke(app, ["check", str(file)])
    assert result.exit_code == 0
    assert result.stdout.splitlines()[-1] == "1 ok, 0 bad"


def test_json_output_can_be_read_by_a_program() -> None:
    result = runner.invoke(app, ["check", "-", "--json"], input=json.dumps([CHAT, {}]).encode())
    assert result.exit_code == 1
    said = json.loads(result.stdout)
    assert (said["ok"], said["bad"]) == (1, 1)
    assert said["findings"][0]["place"] == "index 1"
    assert set(said["findings"][0]) == {"place", "severity", "field", "message"}


def test_a_file_that_is_not_there_is_named() -> None:
    result = runner.invoke(app, ["check", "nowhere.json"])
    assert result.exit_code == 2
    assert "nowhere.json" in result.output


def test_the_schema_command_prints_what_is_generated() -> None:
    result = runner.invoke(app, ["schema", "ChatCompleted"])
    assert json.loads(result.stdout)["title"] == "ChatCompleted"
    assert runner.invoke(app, ["schema", "Chat"]).exit_code == 2
