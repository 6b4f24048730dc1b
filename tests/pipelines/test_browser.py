"""The pages of `kinemill ui` in headless Chromium, as a user sees them on a screen and a phone."""

import shutil
import socket

import pytest

from benchmarks._browser import CHROMIUM, browser
from kinemill.store.home import Home
from tests.pipelines.conftest import TASK, Place
from tests.pipelines.serving import Served

pytestmark = [
    pytest.mark.e2e,
    pytest.mark.skipif(CHROMIUM is None, reason="chromium is not installed"),
]

PHONE = 390  # px
LINKS = "[...document.querySelectorAll('nav a')].map(one => one.textContent.trim())"


def free():
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        return probe.getsockname()[1]


@pytest.fixture(scope="module")
def served(first_run, tmp_path_factory):
    """`kinemill ui` on a copy of the home on which the chain ran."""
    original, _ = first_run
    home = tmp_path_factory.mktemp("browser") / "home"
    shutil.copytree(original.home.root, home)
    site = Place(Home(home), original.tasks)
    with pytest.MonkeyPatch.context() as patch:
        site.enter(patch)
        active = Served(site, (free(), free()))
        try:
            active.start()
            yield active
        finally:
            active.stop()


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
    shown = "[...document.querySelectorAll('[data-assistant-ui]')].filter(one => one.offsetParent)"
    assert tab.evaluate(f"{shown}.length") == 0
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
        (f"models/{TASK}/versions/1", "beats"),
        ("experiments", TASK),
    ):
        tab.open(f"{served.urls['MLflow']}/#/{page}")
        assert tab.errors() == [], page
        assert expected in tab.evaluate("document.body.innerText"), page
        assert tab.evaluate("document.querySelectorAll('[role=dialog]').length") == 0, page


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
