"""Layout of the pages of kinemill's server: navigation, style, script, and pages of errors."""

import os
import re
from collections.abc import Mapping, Sequence
from html import escape
from pathlib import Path

from kinemill.reports.components import html_page
from kinemill_dagster.resources.links import TASKS

PREFIX = "/kinemill/console"
_CSS = Path(__file__).with_name("console.css")
# A clause that names a command or an option, with the separator before it.
_NAMES = "admin|data|model|new|run|runs|task|tune|ui"
_COMMAND = re.compile(
    rf"(?:^|(?:[;:,]|\bor) )[^;:,]*?(?:\bkinemill (?:{_NAMES})\b|(?<!\w)--[a-z])[^;\n]*"
)


def console_page(title: str, sections: Sequence[str], task: str = "") -> str:
    """Return a page of the console, with its navigation, style and script."""
    script = f'<script src="{PREFIX}/console.js" defer></script>'
    without = "<noscript><p>Changes need JavaScript: only the script of this server may send them."
    parts = [f"{without}</p></noscript>", *sections, script]
    return with_navigation(html_page(title, parts, css=_CSS.read_text()), task)


def with_navigation(page: str, task: str = "") -> str:
    """Return a page with the links of the server above its content, and those of its task."""
    mlflow = os.environ.get("KINEMILL_MLFLOW_URL")
    site = {
        "Overview": "/",
        "New task": f"{PREFIX}/new",
        "Tasks": TASKS,
        "Runs": "/runs",
        "Assets": "/assets",
        "Automation": "/automation",
        **({"MLflow": f"{mlflow}/#/models"} if mlflow else {}),
    }
    name = escape(task)
    pages = {
        "Versions": f"{TASKS}/{name}",
        "Compare": f"{PREFIX}/compare/{name}",
        "Start a run": f"{PREFIX}/start/{name}",
        "Recordings": f"{PREFIX}/recordings/{name}",
        "Quarantine": f"{PREFIX}/quarantine/{name}",
    }
    lines = [_links("", site), *([_links(name, pages)] if task else [])]
    navigation = f'<nav class="site" aria-label="Site">{"".join(lines)}</nav>'
    return page.replace("<main>", f"<main>{navigation}", 1)


def _links(title: str, links: Mapping[str, str]) -> str:
    items = "".join(f'<a href="{escape(url)}">{text}</a>' for text, url in links.items())
    return f"<div>{f'<b>{title}</b>' if title else ''}{items}</div>"


def problem_page(problem: str) -> str:
    """Return the page of an address without content, or of an error."""
    lines = "<br>".join(escape(line) for line in without_commands(problem).splitlines())
    head = "<header><div><h1>This page cannot be shown</h1></div></header>"
    return with_navigation(html_page("kinemill: problem", [head, f"<p>{lines}</p>"]))


def without_commands(text: str) -> str:
    """Return a message without its clauses about commands and options of the terminal."""
    plain = text.replace("--set ", "")
    return "\n".join(_COMMAND.sub("", line) for line in plain.splitlines()).strip()
