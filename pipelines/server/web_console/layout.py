"""Layout of the pages of the console."""

from collections.abc import Sequence
from pathlib import Path

from kinemill.reports.components import html_page

PREFIX = "/kinemill/console"
_CSS = Path(__file__).with_name("console.css")


def console_page(title: str, sections: Sequence[str]) -> str:
    """Return a page of the console, with its style and script."""
    links = '<p><a href="/">Overview</a> · <a href="/runs">Runs</a></p>'
    script = f'<script src="{PREFIX}/console.js" defer></script>'
    without = "<noscript><p>Changes need JavaScript: only the script of this server may send them."
    footer = "The server checks every change."
    parts = [links, f"{without}</p></noscript>", *sections, script]
    return html_page(title, parts, footer, _CSS.read_text())
