"""Templates of pages: Jinja files of the package, with the components of `reports`.

All values are escaped. `fmt` is `format`: `{{ share | fmt(".0%") }}`.
"""

import math
from collections.abc import Callable, Sequence
from functools import cache
from pathlib import Path
from typing import Any

from kinemill.reports import components
from kinemill.reports.charts import number

_PACKAGE = Path(__file__).parents[1]
_COMPONENTS = ("figure", "legend", "mark", "name_of")  # escape their texts and return HTML


def render(name: str, /, **context: object) -> str:
    """Return a template, named by its path in the package, as HTML."""
    return render_in(_PACKAGE, name, **context)


def render_in(folder: Path, name: str, /, **context: object) -> str:
    """Return a template in a folder as HTML; it can import those of the package."""
    return str(_pages(folder).get_template(name).render(context))


def table(
    heads: Sequence[str],
    rows: Sequence[Sequence[str]],
    numbers_from: int = 99,
    *,
    even: bool = False,
    fixed: bool = False,
) -> str:
    """Return a table of HTML texts, see the macro `table`."""
    name = "reports/table.html.j2"
    return render(name, heads=heads, rows=rows, numbers=numbers_from, even=even, fixed=fixed)


@cache
def _pages(folder: Path) -> Any:
    """Return the environment; compiling a template takes longer than rendering it."""
    from jinja2 import Environment, FileSystemLoader, StrictUndefined

    pages: Any = Environment(
        loader=FileSystemLoader([folder, _PACKAGE]),
        autoescape=True,
        undefined=StrictUndefined,
        trim_blocks=True,
        lstrip_blocks=True,
    )
    for name in _COMPONENTS:
        pages.globals[name] = _safe(getattr(components, name))
    pages.filters |= {"number": _number, "error": _error, "fmt": format}
    pages.tests["finite"] = math.isfinite
    return pages


def _number(value: float | None) -> str:
    return "–" if value is None else number(value)


def _error(value: float | None) -> str:
    return "not finite" if value is None else number(value)


def _safe(component: Callable[..., str]) -> Callable[..., object]:
    from markupsafe import Markup

    return lambda *args, **settings: Markup(component(*args, **settings))
