"""The numbers of a plot: as a CSV table, and in a sentence for those who cannot see it.

Example:
    >>> import plotly.graph_objects as go
    >>> figure = go.Figure(go.Scatter(x=[1, 2], y=[0.5, 0.75], name="loss"), layout={"xaxis": {"title": "epoch"}})
    >>> numbers(figure)
    [['series', 'epoch', 'y'], ['loss', '1', '0.5'], ['loss', '2', '0.75']]
    >>> described(figure)
    'Plot. epoch from 1 to 2, y from 0.5 to 0.75. Series: loss (2 points).'
"""

from __future__ import annotations

import csv
import html
import io
import re
from collections.abc import Iterable, Iterator, Sequence
from typing import TYPE_CHECKING, Any

import numpy as np

if TYPE_CHECKING:
    import plotly.graph_objects as go

FORMULA = ("=", "+", "-", "@", "\t", "\r")
"""A text that begins with one of these is a formula to a spreadsheet."""

MOST_SERIES = 12
"""A description names at most so many series."""

Record = dict[str, Any]
"""Column -> value; a column that is missing is empty."""


def numbers(figure: go.Figure) -> list[list[str]]:
    """The head and the rows of a table with every point of every trace, one a row.

    Columns are named by the titles of the axes. A heat map has a row for each cell; the ends of an error bar are "low"
    and "high", and the column "about" is what a mouse over the point shows. Of a bar that does not begin at zero, the
    axis has the end, and a column of its own the begin.
    """
    records = [record for at, _ in enumerate(figure.data) for record in _records(figure, at)]
    columns = list(dict.fromkeys(name for record in records for name in record))
    for last in ("low", "high", "about"):
        if last in columns:
            columns.append(columns.pop(columns.index(last)))
    kept = [c for c in columns if any(record.get(c) not in (None, "") for record in records)]
    return [kept, *([_text(record.get(column)) for column in kept] for record in records)]


def csv_text(rows: Iterable[Sequence[str]]) -> str:
    """Rows as a CSV file (RFC 4180). No text of it is a formula to a spreadsheet."""
    file = io.StringIO()
    csv.writer(file).writerows([_harmless(cell) for cell in row] for row in rows)
    return file.getvalue()


def described(figure: go.Figure, table: list[list[str]] | None = None) -> str:
    """What a plot shows, in a sentence: axes with their ranges, series with their numbers of points.

    ``table``: its `numbers`, where they are at hand.
    """
    head, *rows = numbers(figure) if table is None else table
    if not rows:
        return "Plot without points."
    kinds = {trace.type for trace in figure.data}
    kind = "Heat map" if kinds == {"heatmap"} else "Box plot" if "box" in kinds else "Plot"
    ranges = []
    for at, column in enumerate(head):
        values = [float(row[at]) for row in rows if _number(row[at])]
        if values and column not in ("series", "low", "high", "about"):
            ranges.append(f"{column} from {_short(min(values))} to {_short(max(values))}")
    told = [f"{kind}.", f"{', '.join(ranges)}." if ranges else ""]
    if "series" in head:
        at = head.index("series")
        counts: dict[str, int] = {}
        for row in rows:
            counts[row[at]] = counts.get(row[at], 0) + 1
        named = [
            f"{name} ({count} {'point' if count == 1 else 'points'})"
            for name, count in counts.items()
            if name
        ]
        more = f" and {len(named) - MOST_SERIES} more" if len(named) > MOST_SERIES else ""
        told.append(f"Series: {', '.join(named[:MOST_SERIES])}{more}." if named else "")
    return " ".join(filter(None, told))


def _records(figure: go.Figure, at: int) -> Iterator[Record]:
    """The points of a trace."""
    trace = figure.data[at]
    x_axis = figure.layout[(trace.xaxis or "x").replace("x", "xaxis", 1)]
    y_axis = figure.layout[(trace.yaxis or "y").replace("y", "yaxis", 1)]
    axes = (x_axis, y_axis)
    names = tuple(
        _plain(axis.title.text or "") or default for axis, default in zip(axes, ("x", "y"), strict=True)
    )
    if names[0] == names[1]:
        names = (f"{names[0]}, across", f"{names[1]}, up")
    if trace.type == "heatmap":
        yield from _cells(figure, at, axes, names)
        return
    x, y = (_ticks(axis, _listed(values)) for axis, values in zip(axes, (trace.x, trace.y), strict=True))
    bars, texts, series = _error_bars(trace), trace.text, _plain(trace.name or "")
    points = max(len(x), len(y))
    begins: list[float] = []
    if trace.type == "bar" and trace.base is not None:
        begins = np.broadcast_to(trace.base, points).tolist()
    along = names[0 if trace.type == "bar" and trace.orientation == "h" else 1]
    for i in range(points):
        record: Record = {"series": series}
        for name, values in zip(names, (x, y), strict=True):
            if i < len(values):
                record[name] = values[i]
        if all(record.get(name) is None for name in names):
            continue
        if begins:
            record |= {along: begins[i] + record[along], f"{along}, from": begins[i]}
        if bars is not None and y[i] is not None:
            record |= {"low": y[i] - bars[0][i], "high": y[i] + bars[1][i]}
        yield {**record, "about": _plain(str(_at(texts, i) or ""))}


def _cells(figure: go.Figure, at: int, axes: Sequence[Any], names: Sequence[str]) -> Iterator[Record]:
    """The cells of a heat map with a value. Where a menu selects one of several, each has the axes of its button."""
    trace = figure.data[at]
    series, changed = _plain(trace.name or ""), {}
    if figure.layout.updatemenus and at < len(figure.layout.updatemenus[0].buttons):
        button = figure.layout.updatemenus[0].buttons[at]
        series, changed = _plain(button.label), button.args[1]
    value = _plain((trace.colorbar.title.text if trace.colorbar else "") or "") or "value"
    values = np.asarray(trace.z, dtype=object)
    places = []
    for letter, axis, own, count in zip("xy", axes, (trace.x, trace.y), values.shape[::-1], strict=True):
        texts = changed.get(f"{letter}axis.ticktext")
        told = _ticks(axis, list(range(count)) if own is None else _listed(own))
        places.append(told if texts is None else [_plain(str(text)) for text in texts])
    across, up = ("column", "row") if changed else names
    about = trace.customdata
    for row, column in np.ndindex(*values.shape):
        cell = values[row, column]
        if cell is None or cell != cell:
            continue
        record: Record = {"series": series, up: places[1][row], across: places[0][column], value: cell}
        if about is not None:
            record["about"] = _plain(str(about[row][column]))
        yield record


def _error_bars(trace: Any) -> tuple[list[float], list[float]] | None:
    if trace.type not in ("scatter", "bar") or trace.error_y.array is None:
        return None
    above = _listed(trace.error_y.array)
    return _listed(trace.error_y.arrayminus) or above, above


def _ticks(axis: Any, values: list[Any]) -> list[Any]:
    """The names of places on an axis with names, else the values themselves."""
    if axis.ticktext is None or axis.tickvals is None or axis.type == "log":
        return values
    names = dict(zip(axis.tickvals, (_plain(str(text)) for text in axis.ticktext), strict=False))
    return [names.get(value, value) for value in values]


def _listed(values: Any) -> list[Any]:
    return [] if values is None else list(values)


def _at(values: Any, index: int) -> Any:
    """An element, None where there is none; a text alone is that of all."""
    if values is None or isinstance(values, str):
        return values
    return values[index] if index < len(values) else None


def _plain(text: str) -> str:
    """A text of plotly, which has a little HTML, without it."""
    if "<" in text:
        text = re.sub(r"<[^>]*>", "", re.sub(r"<br\s*/?>", "; ", text))
    return html.unescape(text).strip()


def _text(value: Any) -> str:
    if value is None or (isinstance(value, float | np.floating) and np.isnan(value)):
        return ""
    if isinstance(value, bool | np.bool_):
        return str(bool(value))
    if isinstance(value, int | np.integer):
        return str(int(value))
    return f"{float(value):.6g}" if isinstance(value, float | np.floating) else str(value)


def _number(text: str) -> bool:
    try:
        return bool(np.isfinite(float(text)))
    except ValueError:
        return False


def _short(value: float) -> str:
    return f"{value:,.0f}" if abs(value) >= 10_000 else f"{value:.4g}"


def _harmless(cell: str) -> str:
    return f"'{cell}" if cell.startswith(FORMULA) and not _number(cell) else cell
