import pytest

from bench.trial import fastest, mean_rate


def test_the_fastest_is_taken_and_all_are_told(capsys: pytest.CaptureFixture[str]) -> None:
    rates = {(500, 1): 900.0, (500, 2): 1200.0, (1000, 1): 1100.0}
    assert fastest("bulk", list(rates), rates.__getitem__) == (500, 2)
    told = capsys.readouterr().err
    assert told == "bulk, a second at (500, 1): 900  (500, 2): 1,200  (1000, 1): 1,100; taken: (500, 2)\n"


def test_a_machine_that_slows_down_meanwhile_favours_none() -> None:
    pace = iter([1.0, 0.9, 0.8, 0.7, 0.6, 0.5])
    rates = {1: 100.0, 2: 104.0, 4: 102.0}
    assert fastest("raw", list(rates), lambda option: rates[option] * next(pace)) == 2


def test_the_rate_of_a_whole_is_that_of_its_parts_together() -> None:
    assert mean_rate([100.0, 300.0]) == pytest.approx(200 / (1 + 1 / 3))
