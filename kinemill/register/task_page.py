"""Report page of a task: its champion, and the errors of its versions."""

import math
from collections.abc import Callable, Sequence

import numpy as np

from kinemill.register import tags
from kinemill.register.gate.headline import headline_of
from kinemill.register.versions import CHAMPION, Version
from kinemill.reports.charts import Line, line_chart
from kinemill.reports.components import html_page
from kinemill.reports.templates import render
from kinemill.task.promote import RETURN
from kinemill.verify.comparison_sections import lead_section

_TONES = {"good": "good", "warning": "", "bad": "bad"}  # of a card


def task_page(task: str, versions: Sequence[Version], address: Callable[[int], str] = str) -> str:
    """Return the page of a task as one HTML document.

    The versions are newest first; `address` returns the URL of a version's page.
    """
    champion = next((version for version in versions if CHAMPION in version.aliases), None)
    lead_version = champion or next(iter(versions), None)
    headline = headline_of(champion) if champion else None
    is_bad = headline is not None and headline.tone == "bad"
    remark = "a reference is better, or a rule failed" if is_bad else "test recordings"
    title = "return" if versions and _metric(versions[0]) == RETURN else "nRMSE"
    body = render(
        "register/task.html.j2",
        task=task,
        versions=versions,
        champion=champion,
        lead=lead_section(headline_of(lead_version)) if lead_version else "",
        refused=sum(version.decision == "refused" for version in versions),
        metric=_metric(champion),
        tone=_TONES[headline.tone] if headline and _metric(champion) != RETURN else "",
        remark="no champion" if champion is None else remark,
        title=title,
        chart=_course(versions, title),
        styles={"model": "versions", "champion": "champion"},
        dataset_tag=tags.DATASET,
        address=address,
        error_of=_error,
        made_of=_made,
    )
    return html_page(f"{task}: versions", [body])


def _made(version: Version | None) -> str:
    """Return number and day of a version as text."""
    if version is None:
        return "none"
    kind = "provisional, " if version.provisional else ""
    return f"{kind}version {version.number}, {version.created[:10]}"


def _metric(version: Version | None) -> str:
    return RETURN if version is not None and version.metrics.returns else "nrmse"


def _error(version: Version | None) -> float:
    """Return the error, or the return for a policy with trials; NaN if unknown."""
    if version is None:
        return math.nan
    return version.metrics.by_name(_metric(version)).get("model", math.nan)


def _course(versions: Sequence[Version], title: str) -> str:
    """Draw the error or return of all versions, and of the champion, by version."""
    points = [
        (version, error)
        for version in reversed(versions)
        if math.isfinite(error := _error(version))
    ]
    if len(points) < 2:
        return ""
    numbers = np.array([float(version.number) for version, _ in points])
    errors = np.array([error for _, error in points])
    # Dots: a refused version follows no other one, and never acted.
    lines = [Line("versions", "model", numbers, errors, dots=True)]
    terms = [index for index, (version, _) in enumerate(points) if version.decision == CHAMPION]
    if terms:
        ends = np.append(numbers[terms], numbers[-1])
        steps = np.append(errors[terms], errors[terms][-1])
        lines.append(Line("champion", "champion", ends, steps, staircase=True))
    return line_chart(lines, labels=("version", title), log=True)
