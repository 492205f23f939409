"""What a person reads when a part cannot be fetched or started, and what is left behind then: nothing."""

from __future__ import annotations

import shutil
import signal
import subprocess
import sys
from pathlib import Path

import pytest
from support.watching import processes_in, wait_until

from local import kafka, stack
from local.home import Home
from local.postgres import Postgres

CLI = [sys.executable, "-c", "from local.cli import app; app()"]


def test_a_part_that_ends_at_its_start_is_told_with_its_log(place: Home) -> None:
    place.make()
    stack.start_part(place.root, "postgres")
    stack.down(place.root)
    (place.data("postgres") / "PG_VERSION").write_text("9\n")
    with pytest.raises(stack.LocalStackError) as told:
        stack.up(place.root)
    text = str(told.value)
    assert text.startswith("postgres: ended while it was starting")
    assert str(Postgres(place).log) in text
    assert "not compatible" in text
    assert "mend:" in text
    assert processes_in(place.root) == []


def test_an_up_that_is_interrupted_leaves_nothing(place: Home) -> None:
    # Whoever runs the tests in the background of a shell without job control has all of them ignore Ctrl-C.
    heeding = "import signal; signal.signal(signal.SIGINT, signal.default_int_handler)"
    command = [*CLI[:-1], f"{heeding}; {CLI[-1]}", "up", "--dir", str(place.root)]
    with subprocess.Popen(command, stdout=subprocess.PIPE, stderr=subprocess.STDOUT) as starting:
        wait_until(place.record("mlflow").exists, seconds=120)
        starting.send_signal(signal.SIGINT)
        starting.communicate(timeout=60)
    assert starting.returncode != 0
    assert processes_in(place.root) == []


def test_a_folder_with_other_things_in_it_is_left_alone(tmp_path: Path) -> None:
    (tmp_path / "data").mkdir()
    (tmp_path / "data" / "mine").touch()
    with pytest.raises(stack.LocalStackError, match="not empty"):
        stack.up(tmp_path)
    stack.down(tmp_path, purge=True)
    assert (tmp_path / "data" / "mine").exists()


def test_another_number_of_brokers_than_the_data_has(place: Home) -> None:
    place.make()
    kafka.make_cluster(place, 3)
    with pytest.raises(stack.LocalStackError, match=r"3 broker\(s\), and 1 were asked for"):
        stack.up(place.root)


def test_down_after_the_folder_was_deleted(place: Home) -> None:
    place.make()
    stack.start_part(place.root, "postgres")
    shutil.rmtree(place.root)
    assert stack.down(place.root) == ["postgres"]
    assert processes_in(place.root) == []


def test_an_unknown_part_is_answered_with_the_known_ones(place: Home) -> None:
    with pytest.raises(stack.LocalStackError, match="kafka, postgres, mlflow"):
        stack.pids(place.root, "zookeeper")


def test_cli_tells_errors_on_stderr(tmp_path: Path) -> None:
    (tmp_path / "mine").touch()
    told = subprocess.run(
        [*CLI, "up", "--json", "--dir", str(tmp_path)], capture_output=True, text=True, check=False
    )
    assert told.returncode == 1
    assert told.stdout == ""
    assert "mend:" in told.stderr
    assert "Traceback" not in told.stderr
