"""Figures: alt text is required, ink follows the page, equal figures give equal markup."""

import xml.etree.ElementTree as ET

import numpy as np
import pytest

from aelib import plot
from aelib.errors import BadInput


def drawn(alt="A line that rises."):
    fig, ax = plot.figure()
    plot.curves(ax, {"a": [1, 2, 3], "b": [3, 2, 1]}, "epoch", "loss")
    ax.set_title("A title")
    return plot.show(fig, alt)


def test_figure_has_alt_text_and_follows_the_page():
    shown = drawn('A "line" that\n rises.')
    root = ET.fromstring(shown.svg)
    assert root.get("role") == "img"
    assert root.get("aria-label") == 'A "line" that rises.'
    assert "#000000" not in shown.svg and "currentColor" in shown.svg
    assert "A title" in "".join(root.itertext())
    assert repr(shown) == 'Figure: A "line" that rises.'


def test_alt_text_is_required():
    with pytest.raises(BadInput, match="alt"):
        drawn("  ")


def test_equal_figures_give_equal_markup_and_others_other_ids():
    def ids(shown):
        return {node.get("id") for node in ET.fromstring(shown.svg).iter() if node.get("id")}

    assert drawn().svg == drawn().svg
    assert ids(drawn("one")) and not ids(drawn("one")) & ids(drawn("two"))


def test_rows_of_images_and_scatter():
    pictures = np.random.default_rng(0).uniform(size=(5, 64))
    shown = plot.show(plot.images({"input": pictures, "output": pictures}), "Digits")
    assert shown.svg.count("<image") == 10
    _, ax = plot.figure()
    plot.scatter(ax, pictures[:, :2], list("aabbc"))
    assert [t.get_text() for t in ax.get_legend().get_texts()] == ["a", "b", "c"]


def test_table_shows_and_escapes_its_cells():
    made = plot.table(["name", "value"], [("a<b", 0.123456), ("large", 12345.6), ("whole", 7)])
    shown = made._repr_html_()
    assert '<th scope="col">value</th>' in shown and "<td>a&lt;b</td><td>0.123</td>" in shown
    assert "<td>12,346</td>" in shown and "<td>7</td>" in shown
    assert repr(made).splitlines()[1] == "a<b  0.123"
