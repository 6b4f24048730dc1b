"""The pages of a task and of its versions, made only from the registry."""

import json
import re
from html.parser import HTMLParser

from kinemill.register.task_page import task_page
from kinemill.register.version_page import Link, provenance_of, rejected, version_page
from kinemill.register.versions import find_version, versions_of
from kinemill.store import write_document
from kinemill.validate.check_results import CheckResult
from kinemill.validate.report import QuarantinedRecording

VOID = {"meta", "br", "hr", "img", "input", "link", "rect", "line", "path", "circle"}


class Balanced(HTMLParser):
    """Checks that tags are nested correctly, and collects the addresses that a page loads."""

    def __init__(self, page):
        super().__init__()
        self.open, self.fetched = [], []
        self.feed(page)
        assert self.open == []

    def handle_starttag(self, tag, attrs):
        if tag not in VOID:
            self.open.append(tag)
        self.fetched += [v for name, v in attrs if name in {"src", "href"} and tag != "a"]

    def handle_endtag(self, tag):
        if tag not in VOID:
            assert self.open.pop() == tag


def test_the_page_of_a_version_tells_where_it_comes_from_and_why_it_is_what_it_is(chain):
    chain.register(0.1)
    second = chain.register(0.9)
    home, task = chain.home, chain.task.name
    version = find_version(home, task, f":{second.version}")
    page = version_page(home, version)
    assert Balanced(page).fetched == []
    assert "is refused: " in page
    for line in version.gate:
        assert line.rule in page
    for link in provenance_of(home, version):
        assert link.digest[:12] in page
    for column in chain.task.columns:
        assert column in page


def test_the_page_of_a_task_lists_its_versions_over_time(chain):
    chain.register(0.1)
    chain.register(0.9)
    versions = versions_of(chain.home, chain.task.name)
    page = task_page(chain.task.name, versions, lambda number: f"/there/{number}")
    Balanced(page)
    assert re.findall(r'href="(/there/\d+)"', page) == ["/there/2", "/there/1"]
    assert "Robots load <b>version 1</b>" in page
    assert "refused 1 of 2" in page
    assert page.count("<svg") == 1


def test_stretches_and_recordings_that_were_left_out_have_their_reasons(tmp_path):
    cut = {
        "recording": "cut.csv",
        "check": "stuck",
        "channel": "angle",
        "where": "6.6-8.1 s",
        "found": "<b>",
        "fix": "",
    }
    whole = {"check": "readable", "channel": None, "where": "row 1", "found": "nothing"}
    lost = whole | {"recording": "lost.csv"}
    checks = [
        CheckResult("a", True, "", {"failing": []}, blocking=False),
        CheckResult("b", False, "", {"failing": [cut]}, blocking=False),
        CheckResult("c", False, "", {"failing": [lost]}, blocking=False),
        CheckResult("d", False, "", {"share": 0.5, "failing": ["lost.csv"]}, blocking=True),
    ]
    write_document(tmp_path / "checks.json", checks)
    quarantined = [QuarantinedRecording("", "lost.csv", [whole], 0)]
    write_document(tmp_path / "quarantine.json", quarantined)
    summary = {"dropped": {"stuck": 75}, "rows": 925, "quarantined": 1, "recordings": 2}
    message = rejected(Link("episodes", "abc", tmp_path, summary))
    assert "<b>75</b> of 1,000 rows were left out (stuck 75); 1 of 2 recordings were" in message
    assert (message.count("cut.csv"), message.count("lost.csv")) == (1, 1)
    assert "&lt;b&gt;" in message
    sound = {"dropped": {}, "rows": 925, "quarantined": 0, "recordings": 2}
    for file in ("checks", "quarantine"):
        (tmp_path / f"{file}.json").write_text("[]")
    assert "No data was left out." in rejected(Link("episodes", "abc", tmp_path, sound))


def test_the_code_is_a_commit_or_says_what_else_it_is(chain):
    registered = chain.register(0.1)
    version = find_version(chain.home, chain.task.name, f":{registered.version}")
    commit, text = "4f" * 20, '</td><td class="text">'
    for said, message in {
        commit: f"<code>4f4f4f4f4f4f</code>{text}commit<",
        f"{commit}-dirty": f"<code>4f4f4f4f4f4f</code>{text}commit and uncommitted changes<",
        "kinemill 0.1.0": f"–{text}kinemill 0.1.0<",
        "unknown": f"–{text}unknown: built outside of git<",
    }.items():
        version.tags["kinemill.commit"] = said
        assert message in version_page(chain.home, version)


def test_names_from_logs_are_text(chain):
    registered = chain.register(0.1)
    version = find_version(chain.home, chain.task.name, f":{registered.version}")
    version.tags["kinemill.commit"] = "<script>alert(1)</script>"
    assert "<script" not in version_page(chain.home, version)


def test_the_page_of_a_version_is_a_command_too(chain, monkeypatch, tmp_path):
    from typer.testing import CliRunner

    from kinemill.cli.app import app

    chain.register(0.1)
    page = tmp_path / "page.html"
    message = CliRunner().invoke(
        app, ["model", "report", chain.task.name, "--to", str(page), "--json"]
    )
    assert message.exit_code == 0, message.output
    assert json.loads(message.stdout)["version"] == 1
    assert "Provenance" in page.read_text()
