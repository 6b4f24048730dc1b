"""Live page of a run: status, progress, and a chart of each metric while it trains."""

from html import escape

from kinemill.rest_documents import RunDocument
from kinemill_dagster.pipelines.server.web_console.layout import console_page


def run_page(run: RunDocument) -> str:
    """Return the page of a run; its script follows the run until it has ended."""
    short = run.id[:8]
    started = run.created_at[:16].replace("T", " ")
    settings = "".join(
        f"<li><code>{escape(key)}: {escape(str(value))}</code></li>"
        for key, value in run.parameters.items()
    )
    sections = [
        f'<header><div><div class="eyebrow">Run {short}</div><h1>{escape(run.task)}</h1></div>'
        f'<div class="verdict" data-status>{run.status}</div></header>',
        f"<p>Started by {_cause(run)} on {escape(started)} UTC. "
        f'<a href="/runs/{run.id}">Steps and logs in Dagster</a></p>',
        f"<p data-stage>{escape(stage_text(run))}</p>",
        f"<details><summary>Overrides</summary><ul>{settings}</ul></details>" if settings else "",
        f'<section class="live" data-run="{run.id}">'
        '<progress max="1" value="0" hidden aria-label="Steps of the training"></progress>'
        "<p data-steps></p>"
        '<p class="message" role="status" aria-live="polite"></p>'
        '<button type="button" class="danger" data-cancel>Cancel the run</button>'
        '<div class="charts"></div></section>',
    ]
    return console_page(f"{run.task}: run {short}", sections, run.task)


def _cause(run: RunDocument) -> str:
    """Return who started a run, and why if nobody did."""
    owner = escape(run.owner or "a user")
    return f"{owner}, because of this: {escape(run.why)}," if run.why else owner


def stage_text(run: RunDocument) -> str:
    """Return what a run does now, in the words of `console.js`."""
    return f"It waits for {run.waits_for}." if run.waits_for else run.stage or ""
