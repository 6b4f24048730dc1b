"""The pages of `kinemill ui` in headless Chromium, as a user sees them on a screen and a phone."""

import json
import shutil

import pytest

from benchmarks._browser import CHROMIUM, browser
from kinemill.dataset import dataset_versions, load_dataset
from kinemill.ingest.membership import members
from kinemill.task import load_task
from tests.pipelines.conftest import TASK
from tests.pipelines.serving import serve_copy

pytestmark = [
    pytest.mark.e2e,
    pytest.mark.slow,
    pytest.mark.skipif(CHROMIUM is None, reason="chromium is not installed"),
]

PHONE = 390  # px
CONSOLE = "/kinemill/console"
LINKS = "[...document.querySelectorAll('nav a')].map(one => one.textContent.trim())"


@pytest.fixture(scope="module")
def served(first_run, tmp_path_factory):
    """`kinemill ui` on a copy of the home on which the chain ran."""
    with serve_copy(first_run[0], tmp_path_factory.mktemp("browser")) as active:
        yield active


@pytest.fixture(scope="module")
def tab(tmp_path_factory):
    with browser(tmp_path_factory.mktemp("chromium") / "profile") as page:
        yield page


def test_mlflow_opens_with_the_model_registry_and_without_an_assistant(served, tab):
    tab.open(f"{served.urls['MLflow']}/")
    assert tab.errors() == []
    text = tab.evaluate("document.body.innerText")
    assert TASK in text  # the page is drawn: its experiment is listed
    assert "Model registry" in tab.evaluate(LINKS)
    assert "Prompts" not in text
    assert "telemetry" not in text
    displayed = (
        "[...document.querySelectorAll('[data-assistant-ui]')].filter(one => one.offsetParent)"
    )
    assert tab.evaluate(f"{displayed}.length") == 0
    assert "Assistant" not in text


def test_mlflow_keeps_the_view_that_a_user_chose(served, tab):
    tab.open(f"{served.urls['MLflow']}/")
    tab.evaluate("localStorage.setItem('mlflow.workflowType_v1', '\"genai\"')")
    tab.open(f"{served.urls['MLflow']}/")
    assert "Prompts" in tab.evaluate(LINKS)
    tab.evaluate("localStorage.clear()")


def test_mlflow_lists_the_model_and_its_version_without_errors(served, tab):
    for page, expected in (
        ("models", TASK),
        (f"models/{TASK}", "champion"),
        (f"models/{TASK}/versions/1", "is champion"),
        ("experiments", TASK),
    ):
        tab.open(f"{served.urls['MLflow']}/#/{page}")
        assert tab.errors() == [], page
        assert expected in tab.evaluate("document.body.innerText"), page
        assert tab.evaluate("document.querySelectorAll('[role=dialog]').length") == 0, page


def test_mlflow_describes_model_and_version_without_links_to_other_servers(served, tab):
    hrefs = "[...document.querySelectorAll('a')].map(one => one.getAttribute('href'))"
    for page, text in (
        (f"models/{TASK}", "A cart-pole for tests"),
        (f"models/{TASK}/versions/1", "version-1/report.html"),
    ):
        tab.open(f"{served.urls['MLflow']}/#/{page}")
        assert text in tab.evaluate("document.body.textContent"), page
        assert not [href for href in tab.evaluate(hrefs) if href and "/kinemill/" in href], page


def test_mlflow_cannot_send_anything_to_another_server(served, tab):
    tab.open(f"{served.urls['MLflow']}/")
    refused = tab.evaluate(
        "fetch('http://127.0.0.1:9/', {mode: 'no-cors'}).then(() => 'sent', e => String(e))"
    )
    assert refused.startswith("TypeError")
    assert any("Content Security Policy" in text for text in tab.errors())
    outside = [url for url in tab.requests() if not url.startswith(("data:", "blob:"))]
    assert {url.split("/")[2] for url in outside} <= {
        served.urls["MLflow"].split("/")[2],
        "127.0.0.1:9",
    }


CHARTS = "[...document.querySelectorAll('svg[role=img][aria-label*=\" over \"]')]"


def run_of(served):
    """The id of the run that made the first version."""
    return served.runs()[-1]["runId"]


def pages_of(served):
    """The addresses of the pages and reports that kinemill renders for the task."""
    home = served.workspace.home
    reports = sorted(home.store.glob("decision/*/*/report.html"))
    assert reports
    decided = [f"/kinemill/files/{report.relative_to(home.root).as_posix()}" for report in reports]
    console = ["new", f"start/{TASK}", f"versions/{TASK}/1", f"quarantine/{TASK}"]
    console += [f"compare/{TASK}", f"recordings/{TASK}", f"runs/{run_of(served)}"]
    recording = next(iter(members(home, TASK)))
    console.append(f"recordings/{TASK}/{recording}")
    pages = ["/", f"/kinemill/tasks/{TASK}", f"/kinemill/tasks/{TASK}/1"]
    return [*pages, *(f"{CONSOLE}/{path}" for path in console), *decided]


def test_ui_prints_the_address_of_the_start_page_which_shows_the_champion(served, tab):
    url = f"{served.urls['Dagster']}/"
    assert any(line.startswith(f"start page {url} ") for line in served.said)
    tab.open(url)
    text = tab.evaluate("document.body.innerText")
    for expected in ("Overview", "Recent decisions", f"{TASK} 1", "champion, by", "RMSE"):
        assert expected in text


@pytest.mark.parametrize("width", [1280, PHONE])
def test_pages_fit_the_window_log_no_error_and_have_no_barrier(served, tab, width):
    for page in pages_of(served):
        tab.open(served.urls["Dagster"] + page, width)
        assert tab.errors() == [], page
        assert tab.evaluate("document.documentElement.scrollWidth") <= width, page
        assert tab.barriers() == [], page
        if "/files/" not in page and "/tasks/" not in page:
            assert tab.cut_tables() == [], page  # tables of reports scroll sideways


def test_the_contents_of_a_report_lead_to_its_sections(served, tab):
    tab.open(served.urls["Dagster"] + pages_of(served)[-1], PHONE)
    links = "[...document.querySelectorAll('nav.contents a')]"
    named = tab.evaluate(f"{links}.map(one => decodeURIComponent(one.hash.slice(1)))")
    heads = tab.evaluate("[...document.querySelectorAll('h2')].map(one => one.id)")
    assert named == heads
    assert "decision-of-the-gate" in named  # which the registry adds to the verified report
    assert len(named) == len(set(named)) >= 8
    last = f"document.getElementById('{named[-3]}').getBoundingClientRect().top"
    previous = tab.evaluate(last)
    tab.evaluate(f"{links}.at(-3).click()")
    tab.settle()
    assert 0 <= tab.evaluate(last) < 200 < previous


def test_every_chart_of_a_report_names_its_axes_and_units(served, tab):
    tab.open(served.urls["Dagster"] + pages_of(served)[-1])
    texts = f"{CHARTS}.map(one => [...one.querySelectorAll('.axis-label')].map(t => t.textContent))"
    labels = tab.evaluate(texts)
    drawn = tab.evaluate("document.querySelectorAll('figure svg').length")
    assert len(labels) == drawn > 10
    assert all(len(label) == 2 and all(label) for label in labels)
    assert ["RMSE, rad", "time ahead, s"] in labels
    inside = (
        "[...document.querySelectorAll('.axis-label')].every(one => { const a = "
        "one.getBoundingClientRect(), b = one.closest('svg').getBoundingClientRect();"
        " return a.left >= b.left - 1 && a.right <= b.right + 1 && a.bottom <= b.bottom + 1; })"
    )
    for width in (1280, PHONE):
        tab.resize(width, 900)
        assert tab.evaluate(inside), width


def fill(tab, selector, value):
    """Type a value into a field of a form."""
    field = f"document.querySelector({json.dumps(selector)})"
    tab.evaluate(f"{field}.value = {json.dumps(value)}")
    tab.evaluate(f"{field}.dispatchEvent(new Event('input', {{bubbles: true}}))")


def test_a_recording_is_released_with_a_reason(served, tab):
    tab.open(f"{served.urls['Dagster']}{CONSOLE}/quarantine/{TASK}", PHONE)
    fill(tab, "[name=because]", "checked by eye")
    tab.evaluate("document.querySelector('button[value=release]').click()")
    tab.wait_for("recorded: release")
    assert tab.errors() == []


def test_a_decision_that_is_refused_says_why(served, tab):
    tab.open(f"{served.urls['Dagster']}{CONSOLE}/versions/{TASK}/1")
    tab.evaluate("document.querySelector('form.decision button').click()")
    tab.wait_for("is the first champion")


def attach(tab, files):
    """Attach files to the form, as a user who selects them."""
    content = json.dumps({file.name: file.read_text() for file in files})
    tab.evaluate(
        "(() => { const data = new DataTransfer();"
        f"for (const [name, text] of Object.entries({content}))"
        " data.items.add(new File([text], name));"
        "document.querySelector('[type=file]').files = data.files; })()"
    )


def cell(channel, field):
    """The selector of a field in the table of channels."""
    return f"[data-channel={channel}][data-field={field}]"


def test_a_task_is_drafted_from_uploads_edited_checked_and_created(served, tab, logs):
    tab.open(f"{served.urls['Dagster']}/")
    tab.evaluate("[...document.links].find(one => one.textContent === 'New task').click()")
    tab.wait_for("Upload logs")
    fill(tab, "[name=name]", "My robot")
    assert tab.evaluate("document.querySelector('[name=name]').validity.patternMismatch")
    assert tab.evaluate("document.querySelector('[name=name]').title") == (
        "small letters, digits and _, a letter first: my_robot"  # the browser adds it to its words
    )
    attach(tab, [logs / "run-0000.csv", logs / "broken-nan-stretch.csv"])
    fill(tab, "[name=name]", TASK)
    tab.evaluate("document.querySelector('form.new button').click()")
    tab.wait_for("already exists")
    fill(tab, "[name=name]", "arm")
    tab.evaluate("document.querySelector('form.new button').click()")
    tab.wait_for("Main settings")
    curves = tab.evaluate("document.querySelectorAll('.channels svg[role=img]').length")
    assert curves == tab.evaluate("document.querySelectorAll('[data-field=name]').length") == 5
    fill(tab, cell("qpos_cart", "name"), "cart")
    fill(tab, cell("qpos_cart", "low"), "2")
    fill(tab, cell("qpos_cart", "high"), "-2")
    tab.wait_for("the lower limit 2 is not below the upper limit -2")
    tab.wait_for("1 problem")
    fill(tab, cell("qpos_cart", "low"), "-2")
    fill(tab, cell("qpos_cart", "high"), "2")
    tab.wait_for("valid")
    tab.resize(PHONE, 900)
    assert tab.evaluate("document.documentElement.scrollWidth") <= PHONE
    assert tab.cut_tables() == []
    assert tab.barriers() == []
    tab.evaluate("document.querySelector('[data-check]').click()")
    tab.wait_for("1 of 2 logs lose rows")
    assert "nonfinite cart" in tab.evaluate("document.querySelector('.results').innerText")
    tab.evaluate("document.querySelector('[type=submit]').click()")
    tab.wait_for("Cancel the run")
    assert f"{CONSOLE}/runs/" in tab.evaluate("location.pathname")
    drop = served.workspace.home.logs("arm")
    assert len(list(drop.iterdir())) == 2
    tab.evaluate(
        "[...document.querySelectorAll('button')]"
        ".find(button => button.textContent.includes('Cancel the run')).click()"
    )
    tab.wait_for("canceled", 180.0)
    shutil.rmtree(drop)  # so that the automation does not train it
    tab.open(f"{served.urls['Dagster']}/")
    assert "broken has no model yet" in tab.evaluate("document.body.innerText")
    assert tab.evaluate("document.querySelectorAll(`td a[href$='/start/arm']`).length") == 1
    assert load_task(served.workspace.tasks / "arm.yaml").channels["cart"].limits == (-2.0, 2.0)
    assert tab.errors() == []
    assert served.has_loaded("arm")


def test_a_run_is_started_checked_while_typing_and_followed_to_its_version(served, tab):
    """Late: it registers a version."""
    tab.open(f"{served.urls['Dagster']}{CONSOLE}/start/{TASK}")
    fill(tab, "[data-key='learn.batch_size']", "-3")
    tab.wait_for("Input should be greater than 0; found -3")
    assert tab.evaluate("document.querySelector('form.run .message').textContent") == (
        "learn.batch_size: Input should be greater than 0; found -3"
    )
    tab.evaluate("document.querySelector('form.run').reset()")
    fill(tab, "[data-search]", "learn.steps")
    shown = "[...document.querySelectorAll('.setting')].filter(one => one.offsetParent)"
    assert tab.evaluate(f"{shown}.map(one => one.querySelector('[data-key]').dataset.key)") == [
        "learn.steps"
    ]
    fill(tab, "[data-key='learn.steps']", "50")
    tab.wait_for("1 change(s), valid")
    count = "document.querySelector('[data-count]').textContent"
    assert tab.evaluate(count) == "all"
    fill(tab, "[data-versions]", "1")
    tab.wait_for("2 change(s), valid")
    selected = "[...document.querySelectorAll('[data-log]:checked')].map(one => one.dataset.log)"
    names = tab.evaluate(selected)
    assert tab.evaluate(count) == str(len(names))
    assert {"run-0000.csv", "run-0001.csv", "run-0002.csv"} <= set(names)
    tab.evaluate("document.querySelector('form.run button').click()")
    tab.wait_for("Cancel the run")
    tab.wait_for("Version 2 and the decision of the gate", 300.0)
    tab.wait_for("train/loss")
    assert tab.evaluate("document.querySelectorAll('.charts figure svg').length") >= 4
    assert " left" not in tab.evaluate("document.querySelector('[data-steps]').textContent")
    axes = "[...document.querySelectorAll('.charts .axis')]"
    assert tab.evaluate(f"{axes}.every(text => text.getBBox().x >= 0)")  # no number is cut
    assert tab.evaluate("document.querySelector('[data-status]').textContent") == "completed"
    assert f"{CONSOLE}/runs/" in tab.evaluate("location.pathname")
    run = tab.evaluate("location.pathname").rpartition("/")[2]
    assert served.status(run) == "SUCCESS"
    # Not always the first version: a recording was released since.
    home = served.workspace.home
    newest = max(dataset_versions(home, TASK), key=lambda version: version.number)
    assert {episode.name for episode in load_dataset(home, newest.ref).episodes} <= set(names)
    tab.open(f"{served.urls['Dagster']}{CONSOLE}/compare/{TASK}?a=1&b=2", PHONE, wait=300.0)
    assert "Version 2 has" in tab.evaluate("document.body.innerText")
    assert tab.cut_tables() == []


def test_version_page_shows_the_champion_after_a_promotion_and_a_rollback(served, tab):
    """Last: needs the version of the run."""
    tab.open(f"{served.urls['Dagster']}{CONSOLE}/versions/{TASK}/2")
    tab.evaluate("document.querySelector('[name=force]').click()")
    for champion, former in ((2, 1), (1, 2)):
        fill(tab, "[name=why]", "on trial")
        tab.evaluate("document.querySelector('form.decision button').click()")
        tab.wait_for(f"version {champion} is champion now, instead of version {former}")
        text = tab.evaluate("document.body.innerText")
        assert f"Champion now: version {champion}." in text
        assert ("Roll back" in text) == (champion == 2)
        assert tab.errors() == []
