"""Pages: their table of contents; tables that are readable on a phone; charts with axes."""

import numpy as np
import pytest

from kinemill.reports.charts import Line, axis_label, line_chart
from kinemill.reports.components import html_page, with_contents
from kinemill.reports.templates import table

SECTIONS = ["<h2>Error 0.5 s ahead</h2>", "<h2>Speed &amp; <b>size</b></h2>", "<h2>Speed</h2>"]


def test_a_page_of_three_sections_has_a_table_of_contents():
    page = html_page("t", SECTIONS)
    assert '<a href="#error-0-5-s-ahead">Error 0.5 s ahead</a>' in page
    assert '<a href="#speed-amp-size">Speed &amp; size</a><a href="#speed">Speed</a></nav>' in page
    assert '<h2 id="speed-amp-size">Speed &amp; <b>size</b></h2>' in page
    assert '<nav class="contents"' not in html_page("t", SECTIONS[:2])


def test_a_section_added_later_is_in_the_contents_once():
    page = html_page("t", SECTIONS).replace("<main>", "<main><h2>Speed</h2>")
    page = with_contents(with_contents(page))
    assert page.count("<nav ") == 1
    assert page.index('<h2 id="speed">') < page.index('<h2 id="error-0-5-s-ahead">')
    assert '<h2 id="speed-4">' in page  # of two sections with one name each has its own anchor


def test_a_table_that_breaks_its_text_repeats_its_heads_in_the_cells():
    rows = [["a", "b"]]
    assert '<td class="text" data-head="Rule: ">b</td>' in table(
        ["", "<b>Rule</b>"], rows, fixed=True
    )
    assert "data-head" not in table(["", "Rule"], rows)


@pytest.mark.parametrize("unit", ["rad/s", ""])
def test_a_chart_names_both_axes(unit):
    at = np.array([0.0, 1.0])
    label = axis_label("speed <x>", unit)
    chart = line_chart([Line("one", "model", at, at)], labels=("time, s", label))
    displayed = "speed &lt;x&gt;, rad/s" if unit else "speed &lt;x&gt;"
    assert f">{displayed}</text>" in chart
    assert ">time, s</text>" in chart
    assert f'aria-label="{displayed} over time, s"' in chart
