"""Layout of the pages of kinemill's server: navigation, style, script, and pages of errors."""

import os
import re
from collections.abc import Iterable, Mapping
from html import escape
from pathlib import Path

from kinemill.reports.components import html_page
from kinemill.reports.templates import render_in
from kinemill_dagster.resources.links import TASKS

PREFIX = "/kinemill/console"
FOLDER = Path(__file__).parent  # of the templates
_NO_SCRIPT = (
    "<noscript><p>Changes need JavaScript: only the script of this server may send them.</p>"
    "</noscript>"
)
# A clause that names a command or an option, with the separator before it.
_NAMES = "admin|data|model|new|run|task|tune|ui"
_COMMAND = re.compile(
    rf"(?:^|(?:[;:,]|\bor) )[^;:,]*?(?:\bkinemill (?:{_NAMES})\b|(?<!\w)--[a-z])[^;\n]*"
)


def console_page(title: str, template: str, task: str = "", /, **context: object) -> str:
    """Return a page of the console: a template with navigation, style and script.

    Args:
        title: title of the page.
        template: name of the template in this folder.
        task: task of the page; "" for none.
        **context: values of the template.
    """
    body = render_in(FOLDER, template, prefix=PREFIX, tasks=TASKS, **context)
    script = f'<script src="{PREFIX}/console.js" defer></script>'
    css = (FOLDER / "console.css").read_text()
    return with_navigation(html_page(title, [_NO_SCRIPT, body, script], css=css), task)


def same_texts(values: Iterable[str]) -> dict[str, str]:
    """Return the texts of the options of a `select` whose values are the texts."""
    return {value: value for value in values}


def with_navigation(page: str, task: str = "") -> str:
    """Return a page with the links of the server above its content, and those of its task."""
    mlflow = os.environ.get("KINEMILL_MLFLOW_URL")
    site = {
        "Overview": "/",
        "New task": f"{PREFIX}/new",
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
