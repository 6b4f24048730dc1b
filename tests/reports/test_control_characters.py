"""Control characters are shown as escapes in lines, pages and tables."""

import pytest

from kinemill.cli.output import Bad, table
from kinemill.reports.components import html_page
from kinemill.reports.control_characters import escape_controls, escape_page


@pytest.mark.parametrize(
    ("text", "shown"),
    [
        ("run 1 Ä 手 é.csv", "run 1 Ä 手 é.csv"),
        ("a\u202efdp.csv", "a\\u202efdp.csv"),
        ("\x1b[2Ja", "\\x1b[2Ja"),
        ("a\u2066b\u2069\u200f\ufeff\x85", "a\\u2066b\\u2069\\u200f\\ufeff\\x85"),
        ("a\nb\tc\r", "a\\nb\\tc\\r"),
        ("\udce9", "\\udce9"),
        ("\U000e0041", "\\U000e0041"),
    ],
)
def test_control_characters_of_a_name_are_escaped(text, shown):
    assert escape_controls(text) == shown


def test_lines_of_a_text_are_kept():
    assert escape_controls("a\n\tb\u202e", lines=True) == "a\n\tb\\u202e"


def test_page_shows_escapes_and_attributes_keep_their_value():
    page = '<p title="a\u202eb">a\u202eb\n</p>'
    assert escape_page(page) == '<p title="a&#8238;b">a\\u202eb\n</p>'
    assert escape_page("<p>plain\u00a0text</p>") == "<p>plain\u00a0text</p>"


def test_every_page_and_table_is_escaped(capsys):
    assert "\u202e" not in html_page("a\u202eb", ["<h2>x\u202e</h2>"])
    table("names\u202e", ["name"], [["a\u202eb"], [Bad("c\u202ed\n")], [1.5]])
    shown = capsys.readouterr().out
    assert "\u202e" not in shown
    assert "a\\u202eb" in shown
    assert "c\\u202ed\\n" in shown
