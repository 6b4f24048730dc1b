"""Page that compares two versions of a task: a form, and the measured comparison below it."""

from collections.abc import Sequence
from html import escape

from kinemill.errors import BadInput, KinemillError
from kinemill.register.comparison_page import comparison_sections
from kinemill.register.version_comparison import compare
from kinemill.register.versions import CHAMPION, Version
from kinemill.store.home import Home
from kinemill.store.versioned_cache import VersionedCache
from kinemill.task import Task
from kinemill_dagster.pipelines.server.web_console.layout import (
    PREFIX,
    console_page,
    without_commands,
)
from kinemill_dagster.pipelines.server.web_console.setting_fields import labeled, options

_RESULTS = VersionedCache[str](32)  # both models are simulated on the test split for a result


def compare_page(task: Task, home: Home, versions: Sequence[Version], a: str, b: str) -> str:
    """Return the page with the form, and the comparison of versions `a` and `b` if they are named.

    `versions` are newest first.
    """
    name = escape(task.name)
    head = f'<header><div><div class="eyebrow">Compare versions</div><h1>{name}</h1></div></header>'
    sections = [head, _form(task.name, versions, a, b)]
    if a and b:
        sections.append(_result(task, home, versions, a, b))
    return console_page(f"{task.name}: compare versions", sections, task.name)


def _form(task: str, versions: Sequence[Version], a: str, b: str) -> str:
    if len(versions) < 2:
        return "<p>A comparison needs two versions of the task.</p>"
    champion = next((item for item in versions if CHAMPION in item.aliases), versions[1])
    other = next(item for item in versions if item is not champion)
    numbers = [str(item.number) for item in versions]
    texts = [f"version {item.number}, {item.status}" for item in versions]
    selects = [
        labeled(label, f'<select name="{key}">{options(numbers, selected, texts)}</select>')
        for label, key, selected in (
            ("First", "a", a or str(champion.number)),
            ("Second", "b", b or str(other.number)),
        )
    ]
    return (
        f'<form method="get" action="{PREFIX}/compare/{escape(task)}"><div class="fields">'
        f"{''.join(selects)}</div><p><button>Compare</button></p></form>"
    )


def _result(task: Task, home: Home, versions: Sequence[Version], a: str, b: str) -> str:
    """Return the measured comparison, or why there is none."""
    states = tuple((item.number, item.status, item.source) for item in versions)

    def measure() -> str:
        if a == b:
            raise BadInput(f"version {a}", "is selected twice", fix="select two versions")
        return comparison_sections(compare(task, home, f":{a}", f":{b}"))

    try:
        return _RESULTS.get((home, task.name, a, b), lambda: states, measure)
    except KinemillError as error:
        return f'<p class="message bad" role="alert">{escape(without_commands(str(error)))}</p>'
