"""Plots as SVG, the same text for the same figures."""

import math
from collections.abc import Sequence
from dataclasses import dataclass
from html import escape
from typing import Final

from bench.targets import number

_WIDTH: Final = 760
_LEFT: Final = 250
_RIGHT: Final = 90
_TOP: Final = 58
_ROW: Final = 30
_FAR: Final = 100
_INK: Final = "#1f2933"
_PALE: Final = "#7b8794"
_GRID: Final = "#e4e7eb"
OURS: Final = "#0b7285"
CEILING: Final = "#adb5bd"
OTHER: Final = "#e8590c"


@dataclass(frozen=True, slots=True)
class Bar:
    """One bar: what it is, how long, and in which colour; ``low`` and ``high`` are its extreme runs."""

    what: str
    value: float
    low: float
    high: float
    colour: str = OURS


@dataclass(frozen=True, slots=True)
class Curve:
    """One line over the steps of the x axis."""

    what: str
    values: Sequence[float]
    colour: str = OURS


def bars(title: str, unit: str, given: Sequence[Bar]) -> str:
    """Draw bars from left to right, on a logarithmic axis where they differ a hundredfold."""
    largest = max(bar.high for bar in given)
    smallest = min(bar.value for bar in given)
    place = _log_axis(smallest, largest) if largest > _FAR * smallest else _axis(largest)
    unit += "; logarithmic" if place.is_log else ""
    height = _TOP + _ROW * len(given) + 34
    parts = [_text(16, 26, title, size=16, weight=600), _text(16, 44, unit, colour=_PALE)]
    bottom = _TOP + _ROW * len(given)
    for value, at in place.ticks:
        parts += [_line(at, _TOP, at, bottom, _GRID), _text(at, bottom + 18, number(value), "middle", _PALE)]
    for row, bar in enumerate(given):
        top, end = _TOP + row * _ROW, place.of(bar.value)
        parts.append(_text(_LEFT - 10, top + 20, bar.what, "end"))
        size = f'width="{end - _LEFT:.1f}" height="18"'
        parts.append(f'<rect x="{_LEFT}" y="{top + 6}" {size} fill="{bar.colour}" rx="2"/>')
        parts.append(_line(place.of(bar.low), top + 15, place.of(bar.high), top + 15, _INK, 1.5))
        parts.append(_text(max(end, place.of(bar.high)) + 7, top + 20, number(bar.value), weight=600))
    return _svg(height, title, parts)


def curves(title: str, unit: str, steps: Sequence[str], given: Sequence[Curve]) -> str:
    """Draw lines over named steps, on a logarithmic axis from the bottom up."""
    top, bottom, left, right = 70, 290, 70, _WIDTH - 190
    values = [value for curve in given for value in curve.values]
    low, high = math.floor(math.log10(min(values))), math.ceil(math.log10(max(values)))
    high = max(high, low + 1)

    def across(step: int) -> float:
        return left + 40 + (right - left - 60) * step / max(len(steps) - 1, 1)

    def up(value: float) -> float:
        return bottom - (bottom - top) * (math.log10(value) - low) / (high - low)

    parts = [_text(16, 26, title, size=16, weight=600), _text(16, 46, unit, colour=_PALE)]
    for power in range(low, high + 1):
        at = up(10.0**power)
        parts += [
            _line(left, at, right, at, _GRID),
            _text(left - 8, at + 4, number(10.0**power), "end", _PALE),
        ]
    parts += [_text(across(step), bottom + 22, name, "middle", _PALE) for step, name in enumerate(steps)]
    for curve in given:
        points = [(across(step), up(value)) for step, value in enumerate(curve.values)]
        path = " ".join(f"{x:.1f},{y:.1f}" for x, y in points)
        parts.append(f'<polyline points="{path}" fill="none" stroke="{curve.colour}" stroke-width="2.5"/>')
        for (x, y), value in zip(points, curve.values, strict=True):
            parts.append(f'<circle cx="{x:.1f}" cy="{y:.1f}" r="4" fill="{curve.colour}"/>')
            parts.append(_text(x, y - 10, number(value), "middle", weight=600))
        parts.append(_text(points[-1][0] + 24, points[-1][1] + 4, curve.what, colour=curve.colour))
    return _svg(bottom + 36, title, parts)


@dataclass(frozen=True, slots=True)
class _Place:
    low: float
    high: float
    is_log: bool
    ticks: Sequence[tuple[float, float]] = ()

    def of(self, value: float) -> float:
        room = _WIDTH - _LEFT - _RIGHT
        if self.is_log:
            share = math.log10(max(value, self.low) / self.low) / math.log10(self.high / self.low)
        else:
            share = value / self.high
        return _LEFT + room * share


def _axis(largest: float) -> _Place:
    step = 10 ** math.floor(math.log10(largest))
    step = next(step * part for part in (0.2, 0.5, 1, 2) if largest / (step * part) <= 6)  # noqa: PLR2004
    place = _Place(0, largest, is_log=False)
    values = [step * count for count in range(int(largest / step) + 1)]
    return _Place(0, largest, is_log=False, ticks=[(value, place.of(value)) for value in values])


def _log_axis(smallest: float, largest: float) -> _Place:
    low = 10 ** math.floor(math.log10(smallest))
    place = _Place(low, largest, is_log=True)
    powers = range(round(math.log10(low)), math.floor(math.log10(largest)) + 1)
    return _Place(low, largest, is_log=True, ticks=[(10**power, place.of(10**power)) for power in powers])


def _text(  # noqa: PLR0913 - what a text has
    x: float,
    y: float,
    text: str,
    anchor: str = "start",
    colour: str = _INK,
    *,
    size: int = 12,
    weight: int = 400,
) -> str:
    return (
        f'<text x="{x:.1f}" y="{y:.1f}" text-anchor="{anchor}" fill="{colour}" font-size="{size}" '
        f'font-weight="{weight}">{escape(text)}</text>'
    )


def _line(  # noqa: PLR0913, PLR0917 - two ends and how it looks
    x1: float, y1: float, x2: float, y2: float, colour: str, width: float = 1
) -> str:
    return (
        f'<line x1="{x1:.1f}" y1="{y1:.1f}" x2="{x2:.1f}" y2="{y2:.1f}" stroke="{colour}" '
        f'stroke-width="{width}"/>'
    )


def _svg(height: float, title: str, parts: Sequence[str]) -> str:
    inner = "\n".join(parts)
    return (
        f'<svg xmlns="http://www.w3.org/2000/svg" viewBox="0 0 {_WIDTH} {height:g}" width="{_WIDTH}" '
        f'height="{height:g}" role="img" aria-label="{escape(title)}" '
        f'font-family="system-ui, sans-serif">\n<rect width="100%" height="100%" fill="#ffffff"/>\n'
        f"{inner}\n</svg>\n"
    )
