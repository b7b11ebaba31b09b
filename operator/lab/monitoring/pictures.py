"""Draws a dashboard as SVG from measured series: for the docs, without a Grafana. Pure."""

from __future__ import annotations

import re
from collections.abc import Iterator, Mapping, Sequence
from html import escape
from typing import Any

from lab.monitoring.panels import Board, Panel

Line = tuple[str, Mapping[str, Any]]
"""(legend of the query, one series as Prometheus answers it)."""
_WIDTH, _HEIGHT, _GAP, _HEAD = 480, 230, 16, 44
_COLOURS = ("#7eb26d", "#eab839", "#6ed0e0", "#ef843c", "#e24d42", "#1f78c1", "#ba43a9", "#705da0")
_SHOWN = 8
"""Lines of a panel."""


def picture(board: Board, drawn: Mapping[str, Sequence[Line]]) -> str:
    """The whole dashboard, two panels beside each other."""
    rows = (len(board.panels) + 1) // 2
    width, height = 2 * _WIDTH + 3 * _GAP, _HEAD + rows * (_HEIGHT + _GAP)
    parts = [
        f'<svg xmlns="http://www.w3.org/2000/svg" width="{width}" height="{height}" font-family="sans-serif">',
        f'<rect width="{width}" height="{height}" fill="#111217"/>',
        f'<text x="{_GAP}" y="28" fill="#ccccdc" font-size="18">{escape(board.title)}</text>',
    ]
    for number, panel in enumerate(board.panels):
        x, y = _GAP + (number % 2) * (_WIDTH + _GAP), _HEAD + (number // 2) * (_HEIGHT + _GAP)
        parts += [f'<g transform="translate({x},{y})">', *_panel(panel, drawn[panel.title]), "</g>"]
    return "\n".join([*parts, "</svg>", ""])


def _panel(panel: Panel, lines: Sequence[Line]) -> Iterator[str]:
    yield f'<rect width="{_WIDTH}" height="{_HEIGHT}" fill="#181b1f" stroke="#2c3235"/>'
    yield f'<text x="10" y="20" fill="#ccccdc" font-size="13">{escape(panel.title)}</text>'
    values = [(legend, series, _points(series)) for legend, series in lines]
    values = [each for each in values if each[2]]
    if panel.current and values:
        number = f"{values[0][2][-1][1]:g}"
        yield f'<text x="240" y="140" fill="#73bf69" font-size="64" text-anchor="middle">{number}</text>'
        return
    values = sorted(values, key=lambda each: -max(value for _, value in each[2]))[:_SHOWN]
    if values:
        yield from _lines(values, panel.unit)


def _points(series: Mapping[str, Any]) -> list[tuple[float, float]]:
    return [(float(at), float(value)) for at, value in series["values"] if value not in {"NaN", "+Inf", "-Inf"}]


def _lines(values: Sequence[tuple[str, Mapping[str, Any], list[tuple[float, float]]]], unit: str) -> Iterator[str]:
    """The axes' ends, one polyline per series, and the legend."""
    ats = [at for _, _, points in values for at, _ in points]
    numbers = [value for _, _, points in values for _, value in points]
    first, last, low, high = min(ats), max(ats), min(0.0, *numbers), max(*numbers, 1e-3)
    left, top, wide, tall = 60, 34, _WIDTH - 76, 110
    for share in (0.0, 0.5, 1.0):
        y = top + tall * (1 - share)
        yield f'<line x1="{left}" y1="{y}" x2="{left + wide}" y2="{y}" stroke="#2c3235"/>'
        label = f"{low + (high - low) * share:.3g} {unit if unit == 's' else ''}".strip()
        yield f'<text x="{left - 6}" y="{y + 4}" fill="#8e8e8e" font-size="10" text-anchor="end">{label}</text>'
    for number, (legend, series, points) in enumerate(values):
        colour = _COLOURS[number % len(_COLOURS)]
        across, up = wide / max(last - first, 1), tall / (high - low)
        places = " ".join(
            f"{left + (at - first) * across:.1f},{top + tall - (value - low) * up:.1f}" for at, value in points
        )
        yield f'<polyline points="{places}" fill="none" stroke="{colour}" stroke-width="1.5"/>'
        x, y = left + (number % 2) * (wide // 2), 166 + (number // 2) * 15
        name = _named(legend, series["metric"])
        yield f'<rect x="{x}" y="{y - 8}" width="10" height="3" fill="{colour}"/>'
        yield f'<text x="{x + 14}" y="{y - 3}" fill="#ccccdc" font-size="10">{escape(name[:34])}</text>'


def _named(legend: str, labels: Mapping[str, str]) -> str:
    """The legend with the series' own labels."""
    return re.sub(r"\{\{(\w+)\}\}", lambda found: labels.get(found[1], ""), legend)
