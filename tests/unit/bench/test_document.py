import json
from xml.etree import ElementTree as ET

import pytest

from bench.__main__ import RESULTS
from bench.document import BEGIN, DOCUMENT, END, PLOTS, block, plots, replaced
from bench.figures import FIGURES, samples_of
from bench.plots import Bar, Curve, bars, curves

EVERY = {name: [3.0, 4.0, 5.0] for name in FIGURES}
EVERY |= {name: [300.0, 400.0, 500.0] for more in FIGURES.values() for name in more}
EVERY |= {f"workers_{label}_{n}_per_s": [700.0 * n] for label in ("many", "one") for n in (1, 2, 4)}


def test_only_what_stands_between_the_marks_is_replaced() -> None:
    text = f"before\n{BEGIN}\nold\n{END}\nafter\n"
    new = replaced(text, "new")
    assert new == f"before\n{BEGIN}\n\nnew\n{END}\nafter\n"
    assert replaced(new, "new") == new


def test_the_document_has_the_marks_once() -> None:
    text = DOCUMENT.read_text(encoding="utf-8")
    assert (text.count(BEGIN), text.count(END)) == (1, 1)
    assert text.index(BEGIN) < text.index(END)


def test_the_document_and_its_plots_say_what_was_measured() -> None:
    text = DOCUMENT.read_text(encoding="utf-8")
    if not RESULTS.exists():
        assert f"{BEGIN}\n\nNot measured yet.\n\n{END}" in text
        return
    results = json.loads(RESULTS.read_text())
    drawn = plots(samples_of(results))
    assert replaced(text, block(results, list(drawn))) == text
    assert {path.stem: path.read_text() for path in PLOTS.glob("*.svg")} == drawn


def test_there_is_a_plot_of_each_thing_that_was_measured() -> None:
    assert list(plots(EVERY)) == ["throughput", "traces", "latency", "workers"]
    assert list(plots({"bulk_per_s": [1.0]})) == ["throughput"]
    assert plots({}) == {}


@pytest.mark.parametrize("name", ["throughput", "traces", "latency", "workers"])
def test_a_plot_is_the_same_xml_each_time(name: str) -> None:
    svg = plots(EVERY)[name]
    assert svg == plots(EVERY)[name]
    assert ET.fromstring(svg).tag.endswith("svg")  # noqa: S314 - it is our own


def texts(svg: str) -> list[str]:
    return [element.text or "" for element in ET.fromstring(svg).iter() if element.tag.endswith("text")]  # noqa: S314


def widths(svg: str) -> list[float]:
    rects = [element for element in ET.fromstring(svg).iter() if element.tag.endswith("rect")]  # noqa: S314
    return [float(rect.attrib["width"]) for rect in rects if "%" not in rect.attrib["width"]]


def test_a_bar_is_as_long_as_its_value() -> None:
    svg = bars("title", "ms", [Bar("a", 10, 10, 10), Bar("b < c", 40, 40, 40)])
    short, long = widths(svg)
    assert long == pytest.approx(4 * short, rel=0.01)
    assert {"title", "ms", "a", "b < c", "10", "40"} <= set(texts(svg))


def test_bars_that_differ_a_hundredfold_are_drawn_on_a_logarithmic_axis() -> None:
    one, ten, thousand = widths(bars("t", "u", [Bar(str(v), v, v, v) for v in (1.5, 15, 1500)]))
    assert (thousand - ten) == pytest.approx(2 * (ten - one), rel=0.01)


def test_a_curve_goes_up_with_its_values() -> None:
    svg = curves("t", "u", ["1 k", "1 M"], [Curve("x", [0.5, 50])])
    circles = [element for element in ET.fromstring(svg).iter() if element.tag.endswith("circle")]  # noqa: S314
    low, high = (float(circle.attrib["cy"]) for circle in circles)
    assert high < low
    assert {"1 k", "1 M", "x", "0.5", "50"} <= set(texts(svg))
