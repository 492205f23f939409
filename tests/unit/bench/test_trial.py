import pytest

from bench.trial import fastest


def test_the_fastest_is_taken_and_all_are_told(capsys: pytest.CaptureFixture[str]) -> None:
    rates = {(500, 1): 900.0, (500, 2): 1200.0, (1000, 1): 1100.0}
    assert fastest("bulk", list(rates), rates.__getitem__) == (500, 2)
    told = capsys.readouterr().err
    assert told == "bulk, a second at (500, 1): 900  (500, 2): 1,200  (1000, 1): 1,100; taken: (500, 2)\n"
