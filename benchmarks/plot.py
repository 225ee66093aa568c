"""Draw figures as bars on a logarithmic scale: an SVG, of which Chromium takes the picture as it does of our pages."""

import math
from collections.abc import Callable, Iterator, Sequence
from html import escape
from pathlib import Path

from benchmarks.measuring import Row, number
from tests.browser.windows import chromium, running_browser

#: Where a figure is on the scale.
Scaled = Callable[[float], float]

WIDTH, LABELS, BAR, GAP, TOP = 1000, 250, 11, 14, 56
#: NHS colours: ours first.
COLOURS = ("#005eb8", "#00703c", "#8a1538", "#78be20", "#ae2573", "#768692", "#ed8b00")


def draw(path: Path, columns: Sequence[str], rows: Sequence[Row]) -> bool:
    """Write a picture: a bar for each column of each row, with its spread over the rounds. False without Chromium."""
    if not chromium():
        return False
    picture = svg(columns, rows)
    with running_browser() as browser:
        page = browser.new_page(viewport={"width": WIDTH, "height": 100})
        page.set_content(f"<body style='margin:0'>{picture}</body>")
        page.locator("svg").screenshot(path=path)
    return True


def svg(columns: Sequence[str], rows: Sequence[Row]) -> str:
    """Return the picture as SVG."""
    figures = [figure for row in rows for each in row.figures.values() for figure in each if figure]
    lowest = 10 ** math.floor(math.log10(min(figures)))
    highest = 10 ** math.ceil(math.log10(max(figures)))
    height = TOP + len(rows) * (len(columns) * BAR + GAP) + 24

    def x(figure: float) -> float:
        share = math.log10(max(figure, lowest) / lowest) / math.log10(highest / lowest)
        return LABELS + share * (WIDTH - LABELS - 60)

    drawn = [*_legend(columns), *_scale(x, lowest, highest, height), *_bars(x, columns, rows)]
    style = "font: 12px Arial, 'Liberation Sans', sans-serif; background: white"
    return (
        f'<svg xmlns="http://www.w3.org/2000/svg" width="{WIDTH}" height="{height}" style="{style}">'
        f"{''.join(drawn)}</svg>"
    )


def _legend(columns: Sequence[str]) -> Iterator[str]:
    at = LABELS
    for column, colour in zip(columns, COLOURS, strict=False):
        yield f'<rect x="{at}" y="8" width="12" height="12" fill="{colour}"/>'
        yield f'<text x="{at + 17}" y="18">{escape(column)}</text>'
        at += 30 + 7 * len(column)


def _scale(x: Scaled, lowest: float, highest: float, height: int) -> Iterator[str]:
    """Yield a line for each power of ten, with its number."""
    power = lowest
    while power <= highest * 1.01:
        at = x(power)
        yield f'<line x1="{at}" x2="{at}" y1="{TOP - 8}" y2="{height - 16}" stroke="#d8dde0"/>'
        yield f'<text x="{at}" y="{TOP - 14}" text-anchor="middle">{power:g}</text>'
        power *= 10


def _bars(x: Scaled, columns: Sequence[str], rows: Sequence[Row]) -> Iterator[str]:
    """Yield the rows: a bar up to each column's median, and a line from its lowest to its highest round."""
    top = TOP
    for row in rows:
        middle = top + len(columns) * BAR / 2 + 4
        unit = f", {row.unit}" if row.unit else ""
        yield f'<text x="{LABELS - 8}" y="{middle}" text-anchor="end">{escape(row.name + unit)}</text>'
        for column, colour in zip(columns, COLOURS, strict=False):
            median = row.median(column)
            if median:
                known = [figure for figure in row.figures[column] if figure]
                y = top + BAR / 2
                width = x(median) - LABELS
                yield f'<rect x="{LABELS}" y="{top}" width="{width}" height="{BAR - 2}" fill="{colour}"/>'
                yield f'<line x1="{x(min(known))}" x2="{x(max(known))}" y1="{y}" y2="{y}" stroke="#212b32"/>'
                yield f'<text x="{max(x(median), x(max(known))) + 4}" y="{top + BAR - 2}">{number(median)}</text>'
            top += BAR
        top += GAP
