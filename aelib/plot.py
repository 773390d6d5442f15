"""Figures that follow the page: inline SVG whose ink is the reader's text colour, with alt text.

fig, ax = aelib.plot.figure(title="...")
ax.plot(...)
aelib.plot.show(fig, alt="What the picture shows, for someone who cannot see it.")
"""

import html
import io
import re
from collections.abc import Iterable, Sequence
from typing import Any

import matplotlib as mpl
import numpy as np
from cycler import cycler
from matplotlib.axes import Axes
from matplotlib.figure import Figure

from aelib.errors import BadInput

#: Okabe and Ito's colours, in an order whose members are legible on white and on near-black.
COLOURS = ["#2a8fc7", "#d9730d", "#1a9e77", "#c969a0", "#b58900", "#7a6fd0", "#7f7f7f"]

STYLE: Any = {
    "axes.prop_cycle": cycler(color=COLOURS),
    "axes.spines.top": False,
    "axes.spines.right": False,
    "axes.grid": True,
    "axes.axisbelow": True,
    "grid.color": "#808080",
    "grid.alpha": 0.25,
    "figure.constrained_layout.use": True,
    "figure.facecolor": "none",
    "axes.facecolor": "none",
    "savefig.facecolor": "none",
    "lines.linewidth": 2.0,
    "svg.fonttype": "none",
    "font.size": 11.0,
    "font.family": "sans-serif",
}


def figure(
    rows: int = 1, columns: int = 1, size: tuple[float, float] | None = None, **options: Any
):
    """(figure, axes) in the book's style; `size` in inches (default 6.4 × 3.6 for one panel).

    Further options go to ``Figure.subplots``. The figure belongs to no window and no global
    state: show it with `show`.
    """
    with mpl.rc_context(STYLE):
        fig = Figure(figsize=size or (max(6.4, 3.2 * columns), 3.6 * rows))
        axes = fig.subplots(rows, columns, **options)
    return fig, axes


_INK = re.compile(r"(?<=[:\"' ])(?:#000000|black)(?=[;\"' ])")


def _finish(fig: Figure) -> None:
    """What Matplotlib's settings decide when a title or legend is made, decided afterwards."""
    for ax in fig.axes:
        if title := ax.get_title():
            ax.set_title("")
            ax.set_title(title, loc="left", fontsize="medium")
        if legend := ax.get_legend():
            legend.set_frame_on(False)


def _svg(fig: Figure, salt: str) -> str:
    _finish(fig)
    buffer = io.StringIO()
    settings = {**STYLE, "svg.hashsalt": salt, "svg.id": None}
    with mpl.rc_context(settings):
        fig.savefig(buffer, format="svg", metadata={"Date": None, "Creator": None})
    text = buffer.getvalue()
    return text[text.index("<svg") :]


def to_svg(fig: Figure, alt: str) -> str:
    """The figure as an <svg> element: ink = currentColor, role img, `alt` as its label."""
    if not alt.strip():
        raise BadInput("a figure needs alt text: show(fig, alt='what it shows')")
    label = html.escape(" ".join(alt.split()), quote=True)
    svg = _INK.sub("currentColor", _svg(fig, salt=label))
    # text without a fill of its own is black in SVG: give the root element the ink
    root = (
        f'<svg role="img" aria-label="{label}" fill="currentColor" '
        'style="max-width:100%;height:auto;background:none"'
    )
    svg = re.sub(r"<metadata>.*?</metadata>", "", svg, flags=re.S)
    return _without_idle_ids(svg).replace("<svg", root, 1)


def _without_idle_ids(svg: str) -> str:
    """Drops the ids that nothing refers to: figures of one page would share them."""
    used = set(re.findall(r"#([\w.-]+)", svg))
    return re.sub(r' id="([^"]+)"', lambda m: m[0] if m[1] in used else "", svg)


class InlineFigure:
    """What `show` gives a notebook: HTML with the SVG in it, the alt text elsewhere."""

    def __init__(self, svg: str, alt: str):
        self.svg, self.alt = svg, alt

    def _repr_html_(self) -> str:
        return f'<div class="aelib-figure">{self.svg}</div>'

    def __repr__(self) -> str:
        return f"Figure: {self.alt}"


def show(fig: Figure, alt: str) -> InlineFigure:
    """Makes the figure a notebook cell's output; `alt` says in words what it shows.

    Raises BadInput when alt is empty.
    """
    return InlineFigure(to_svg(fig, alt), " ".join(alt.split()))


class InlineTable:
    """What `table` gives a notebook: HTML, and lines of text elsewhere."""

    def __init__(self, head: Sequence[str], rows: list[list[str]]):
        self.head, self.rows = list(head), rows

    def _repr_html_(self) -> str:
        def cells(tag: str, row: list[str]) -> str:
            return "".join(f"<{tag}>{html.escape(c, quote=False)}</{tag[:2]}>" for c in row)

        top = cells('th scope="col"', self.head)
        body = "".join(f"<tr>{cells('td', row)}</tr>" for row in self.rows)
        return f'<table class="table"><tr>{top}</tr>{body}</table>'

    def __repr__(self) -> str:
        return "\n".join("  ".join(row) for row in [self.head, *self.rows])


def table(head: Sequence[str], rows: Iterable[Iterable[Any]]) -> InlineTable:
    """Makes a table the output of a notebook's cell; floats with three significant digits."""

    def text(cell: Any) -> str:
        if not isinstance(cell, float):
            return str(cell)
        return f"{cell:,.0f}" if cell >= 1000 else f"{cell:.3g}"

    return InlineTable(head, [[text(cell) for cell in row] for row in rows])


def curves(
    ax: Axes, series: dict[str, Sequence[float]], xlabel: str, ylabel: str, **options: Any
) -> Axes:
    """One line for each entry of `series`, with a legend when there is more than one."""
    for label, values in series.items():
        ax.plot(np.arange(1, len(values) + 1), values, label=label, **options)
    ax.set(xlabel=xlabel, ylabel=ylabel)
    if len(series) > 1:
        ax.legend()
    return ax


def rate_distortion(
    ax: Axes, series: dict[str, Sequence[Any]], ylabel: str = "character error rate"
) -> Axes:
    """Distortion over rate for each entry: points with `rate_bits`, `distortion` and `bits`.

    Left and down is better. The numbers beside the points are bits a dimension.
    """
    for label, points in series.items():
        x, y = [p.rate_bits for p in points], [p.distortion for p in points]
        (line,) = ax.plot(x, y, "o-", label=label)
        for p in points:
            ax.annotate(str(p.bits), (p.rate_bits, p.distortion), xytext=(3, 3),
                        textcoords="offset points", color=line.get_color(), fontsize=8)  # fmt: skip
    ax.set(xlabel="bits per example", ylabel=ylabel)
    if len(series) > 1:
        ax.legend()
    return ax


def images(rows: dict[str, Any], shape: tuple[int, int] = (8, 8), scale: float = 0.62) -> Figure:
    """Rows of small pictures, one row for each entry: {"input": (n, h·w), "output": (n, h·w)}."""
    n = max(len(row) for row in rows.values())
    fig, axes = figure(
        len(rows), n, size=(n * scale + 1.3, len(rows) * (scale + 0.12)), squeeze=False
    )
    for ax in axes.flat:
        ax.set_axis_off()
    for line, (label, row) in zip(axes, rows.items(), strict=True):
        line[0].text(-0.3, 0.5, label, transform=line[0].transAxes, ha="right", va="center")
        for ax, picture in zip(line, np.asarray(row), strict=False):
            ax.imshow(picture.reshape(shape), vmin=0, vmax=1, cmap="gray", interpolation="nearest")
    return fig


def scatter(ax: Axes, points: Any, labels: Iterable[Any], size: float = 6.0) -> Axes:
    """Points (n, 2), coloured and named by label (rasterised: many points stay small)."""
    points, labels = np.asarray(points), np.asarray(list(labels))
    for i, label in enumerate(np.unique(labels)):
        chosen = points[labels == label]
        colour = mpl.colormaps["tab10"](i % 10)
        x, y = chosen.T
        ax.scatter(x, y, s=size, color=colour, label=str(label), rasterized=True, lw=0)
    ax.legend(markerscale=2, loc="center left", bbox_to_anchor=(1, 0.5))
    return ax
