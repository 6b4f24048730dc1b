"""Drafts of new tasks over REST: from logs to a task file, and what is refused on the way."""

import io
import os
import shutil
import subprocess
import sys
import threading
from contextlib import redirect_stdout

import dagster as dg
import pytest

from kinemill.draft import draft_process
from kinemill.task import load_task
from kinemill_dagster.pipelines.server.rest import draft_store, drafts
from tests.pipelines.server.rest.conftest import draft_preview, make_site

LOG_ROUTES = "kinemill_dagster.pipelines.server.rest.logs"
LOGS = ("run-0000.csv", "run-0001.csv")


@pytest.fixture
def site(workspace, tmp_path, monkeypatch):
    """An empty home, and a folder of tasks that tests may write to."""
    shutil.copytree(workspace.tasks, tmp_path / "tasks")
    monkeypatch.setenv("KINEMILL_TASKS", str(tmp_path / "tasks"))
    with dg.DagsterInstance.ephemeral() as instance:
        made = make_site(workspace.home, instance)
        made.tasks = tmp_path / "tasks"
        yield made


@pytest.fixture
def drafted_here(monkeypatch):
    """Draft and check in this process: the imports of another take 2 s."""

    def work(arguments, _patience):
        output = io.StringIO()
        monkeypatch.setattr(sys, "argv", arguments[1:])
        with redirect_stdout(output):
            draft_process.main()
        return subprocess.CompletedProcess(arguments, 0, output.getvalue(), "")

    monkeypatch.setattr(draft_process, "limit_memory", lambda _: 0)
    monkeypatch.setattr(f"{LOG_ROUTES}.run_python", work)


def put(site, draft, name, content, status=201):
    response = site.client.put(f"/api/v1/drafts/{draft}/logs/{name}", content=content)
    assert response.status_code == status, response.text
    return response.json()


def start(site, name="arm", status=201, **body):
    return site.post("drafts", {"name": name, **body}, status)


def uploaded(site, logs, name="arm", **body):
    """The id of a draft with two logs."""
    draft = start(site, name, **body)["id"]
    for log in LOGS:
        put(site, draft, log, (logs / log).read_bytes())
    return draft


@pytest.fixture(scope="module")
def preview(logs, tmp_path_factory):
    """The preview of a draft of two logs, made once."""
    return draft_preview(logs, tmp_path_factory.mktemp("own"), LOGS)


@pytest.fixture
def draft(site, logs, preview):
    """The id of a draft that is built."""
    made = uploaded(site, logs)
    draft_store.open_draft(site.home, made, "otto").keep_preview(preview)
    return made


def rows(preview, **changes):
    """The rows of a preview as a form sends them; changes by channel."""
    listed = []
    for channel in preview["channels"]:
        own = preview["task"]["channels"][channel["channel"]]
        row = {
            "channel": channel["channel"],
            "name": channel["channel"],
            "role": own["role"],
            "unit": str(own["unit"]),
            "kind": own.get("kind", "linear"),
            "limits": own.get("limits"),
            "derivative_of": own.get("derivative_of"),
        }
        listed.append({**row, **changes.get(channel["channel"], {})})
    return listed


@pytest.mark.usefixtures("drafted_here")
def test_uploaded_logs_become_a_task_with_a_run(site, logs):
    draft = uploaded(site, logs)
    built = site.post(f"drafts/{draft}/build")
    preview = built["preview"]
    assert [log["name"] for log in built["logs"]] == list(LOGS)
    cart = next(channel for channel in preview["channels"] if channel["channel"] == "qpos_cart")
    assert -1.6 <= cart["low"] < cart["high"] <= 1.6
    assert "position by name" in cart["reasons"]
    assert len(cart["seconds"]) == len(cart["values"]) > 100
    edits = {
        "channels": rows(preview, qpos_cart={"name": "cart", "unit": "m", "limits": [-2.0, 2.0]}),
        "settings": {"learn.budget": 60, "dt": 0.02},
    }
    edits["channels"][2]["unit"] = "m/s"
    result = site.post(f"drafts/{draft}/edit", edits)
    assert result["problems"] == []
    checked = site.post(f"drafts/{draft}/check", {"task": result["task"]})
    assert [file["file"] for file in checked["files"]] == list(LOGS)
    assert all(file["outcome"] == "episodes" for file in checked["files"])
    created = site.post("tasks", {"task": result["task"], "draft": draft}, 201)
    launches = [name for name, *_ in site.dagster.requests if name == "launchRun"]
    run = site.get("runs")["runs"][0]["id"]
    assert (created, len(launches)) == ({"name": "arm", "logs": 2, "run": run, "problem": None}, 1)
    task = load_task("arm")
    assert (task.dt, task.channels["cart"].limits) == (0.02, (-2.0, 2.0))
    assert task.channels["cart"].source[0].name == "qpos_cart"
    text = task.path.read_text()
    assert "; unit?" in text  # of the channels that nobody edited
    assert "cart: {role: state, unit: m, observed_range" in text.partition("; unit?")[0]
    assert sorted(path.name for path in site.home.logs("arm").iterdir()) == list(LOGS)
    assert not list(site.home.drafts.iterdir())
    assert {user for *_, user in site.dagster.requests} == {"otto"}


def test_new_task_is_loaded_by_dagster_or_the_reason_is_returned(site, draft, preview):
    task = {**preview.task, "task": "leg"}
    created = site.post("tasks", {"task": task}, 201)
    assert "is not loaded by Dagster" in created["problem"]
    assert "reload" in [name for name, *_ in site.dagster.requests]
    assert load_task("leg")


def test_logs_on_the_server_are_used_without_a_copy(site, logs):
    shutil.copytree(logs, site.home.logs("tiny"))
    (site.home.logs("tiny") / ".hidden.csv").write_text("x")
    (folder,) = site.get("logs")["folders"]
    assert (folder["folder"], folder["total"]) == ("tiny", len(list(logs.iterdir())))
    assert folder["files"][0]["bytes"] > 100
    chosen_logs = [{"folder": "tiny", "names": list(LOGS)}]
    made = start(site, logs=chosen_logs)
    assert [log["name"] for log in made["logs"]] == list(LOGS)
    inside = site.home.drafts / made["id"] / "logs" / LOGS[0]
    assert inside.samefile(site.home.logs("tiny") / LOGS[0])
    everything = start(site, logs=[{"folder": "tiny"}])
    assert len(everything["logs"]) == folder["total"]


@pytest.mark.parametrize(
    ("choice", "status", "message"),
    [
        ({"folder": "nobody"}, 404, "unknown"),
        ({"folder": ".."}, 404, "unknown"),
        ({"folder": "../store"}, 404, "unknown"),
        ({"folder": "tiny", "names": ["../../secret.csv"]}, 400, "is not the name of a log"),
        ({"folder": "tiny", "names": ["/etc/passwd"]}, 400, "is not the name of a log"),
        ({"folder": "tiny", "names": ["~/x.csv"]}, 400, "is not the name of a log"),
        ({"folder": "tiny", "names": [".hidden.csv"]}, 400, "is not the name of a log"),
        ({"folder": "tiny", "names": ["out.csv"]}, 400, "is outside"),
        ({"folder": "tiny", "names": ["away/secret.csv"]}, 400, "is outside"),
        ({"folder": "tiny", "names": ["nothing.csv"]}, 404, "is not in the folder"),
        ({"folder": "tiny", "names": ["a\x00b"]}, 400, "pattern"),
        ({"folder": "empty"}, 400, "has no files"),
    ],
)
def test_name_outside_the_drop_folder_is_refused(site, tmp_path, choice, status, message):
    (tmp_path / "secret.csv").write_text("secret")
    drop = site.home.logs("tiny")
    drop.mkdir(parents=True)
    (drop / "out.csv").symlink_to(tmp_path / "secret.csv")
    (drop / "away").symlink_to(tmp_path, target_is_directory=True)
    site.home.logs("empty").mkdir()
    assert message in start(site, status=status, logs=[choice])["message"]
    assert not list(site.home.drafts.glob("*"))


def test_link_out_of_a_folder_is_not_listed(site, tmp_path):
    (tmp_path / "secret.csv").write_text("secret")
    drop = site.home.logs("tiny")
    drop.mkdir(parents=True)
    (drop / "out.csv").symlink_to(tmp_path / "secret.csv")
    (site.home.root / "logs" / "link").symlink_to(tmp_path, target_is_directory=True)
    assert site.get("logs")["folders"] == []


@pytest.mark.parametrize("name", ["tiny", "broken"])
def test_duplicate_task_name_is_refused(site, preview, name):
    assert "already exists" in start(site, name, 400)["message"]
    message = site.post("tasks", {"task": {**preview.task, "task": name}}, 400)["message"]
    assert "already exists" in message


@pytest.mark.parametrize("name", ["", "Arm", "../arm", "a/b", "arm.yaml", "-x", "a" * 101, 3])
def test_invalid_task_name_is_refused(site, preview, name):
    start(site, name, 400)
    site.post("tasks", {"task": {**preview.task, "task": name}}, 400)
    assert sorted(path.stem for path in site.tasks.glob("*.yaml")) == ["broken", "tiny"]


def test_python_keyword_as_task_name_is_refused(site, preview):
    message = site.post("tasks", {"task": {**preview.task, "task": "class"}}, 400)["message"]
    assert "is a Python keyword" in message


@pytest.mark.parametrize("name", [".hidden.csv", "~x.csv", "x.csv.part", "é" * 150])
def test_upload_with_an_unknown_suffix_is_refused(site, name):
    draft = start(site)["id"]
    assert put(site, draft, name, b"x", 400)["message"]
    assert site.get(f"drafts/{draft}")["logs"] == []


def test_upload_beyond_size_or_number_is_refused(site, monkeypatch):
    draft = start(site)["id"]
    monkeypatch.setattr(draft_store, "LARGEST", 10)
    monkeypatch.setattr(draft_store, "MOST_LOGS", 3)
    assert "is too large" in put(site, draft, "a.csv", b"x" * 11, 400)["message"]

    def chunks():
        yield b"x" * 6
        yield b"x" * 6

    assert "is too large" in put(site, draft, "a.csv", chunks(), 400)["message"]
    put(site, draft, "a.csv", b"x" * 6)
    assert "is too large" in put(site, draft, "b.csv", b"x" * 5, 400)["message"]
    put(site, draft, "b.csv", b"x" * 2)
    put(site, draft, "c.csv", b"x")
    assert "is full" in put(site, draft, "d.csv", b"x", 400)["message"]
    assert len(site.get(f"drafts/{draft}")["logs"]) == 3


@pytest.mark.usefixtures("drafted_here")
def test_faulty_log_is_named_and_good_logs_are_used(site, logs):
    draft = uploaded(site, logs)
    put(site, draft, "faulty.parquet", b"PAR1 this is no parquet")
    preview = site.post(f"drafts/{draft}/build")["preview"]
    assert any("faulty.parquet" in note for note in preview["notes"])
    assert len(preview["files"]) == 2


@pytest.mark.usefixtures("drafted_here")
def test_unreadable_logs_are_an_error_without_paths(site):
    draft = start(site)["id"]
    put(site, draft, "a.csv", b"\x00\x01")
    message = site.post(f"drafts/{draft}/build", status=400)["message"]
    assert "none of 1 logs can be read; a.csv" in message
    assert str(site.home.root) not in message
    assert "/tmp" not in message
    empty = start(site)["id"]
    assert "holds no log" in site.post(f"drafts/{empty}/build", status=400)["message"]


@pytest.mark.usefixtures("drafted_here")
def test_logs_with_too_many_channels_are_refused(site, logs, monkeypatch):
    monkeypatch.setattr(drafts, "MOST_CHANNELS", 4)
    draft = uploaded(site, logs)
    message = site.post(f"drafts/{draft}/build", status=400)["message"]
    assert "has 5 channels; expected at most 4" in message
    assert site.get(f"drafts/{draft}")["preview"] is None


def test_draft_problems_are_listed_by_field(site, draft, preview):
    changed = rows(
        preview.model_dump(),
        qpos_cart={"limits": [2.0, 1.0], "unit": "banana"},
        ctrl_cart={"role": "actoin"},
    )
    result = site.post(f"drafts/{draft}/edit", {"channels": changed, "settings": {"dt": -1}})
    problems = {problem["key"]: problem["message"] for problem in result["problems"]}
    assert "the lower limit 2 is not below" in problems["channels.qpos_cart.limits"]
    assert "banana" in problems["channels.qpos_cart.unit"]
    assert "did you mean 'action'" in problems["channels.ctrl_cart.role"]
    assert "greater than or equal to 0.000000001" in problems["dt"]
    half = rows(preview.model_dump(), qpos_cart={"limits": [None, 1.0]})
    result = site.post(f"drafts/{draft}/edit", {"channels": half})
    assert result["problems"][0]["key"] == "channels.qpos_cart.limits.0"


# The check of every key is in tests/task/test_web_overrides.py.
CODE = {
    "learn.loss": "evil.py:f",
    "validate.checks": {"mine": "evil.py:check"},
    "channels.qpos_cart.expression": "qvel_cart * 2",
    "compute": {"type": "ssh", "host": "evil"},
}


@pytest.mark.parametrize("key", list(CODE))
def test_task_from_the_web_with_code_or_machines_is_refused(site, draft, preview, key, monkeypatch):
    ran = site.tasks / "ran"
    (site.tasks / "evil.py").write_text(f"open({str(ran)!r}, 'w')\n")
    monkeypatch.chdir(site.tasks)
    edits = {"channels": rows(preview.model_dump()), "settings": {key: CODE[key]}}
    result = site.post(f"drafts/{draft}/edit", edits)
    assert result["problems"]
    refused = site.post("tasks", {"task": result["task"], "draft": draft}, 400)["message"]
    site.post(f"drafts/{draft}/check", {"task": result["task"]}, 400)
    assert "web" in refused or "unknown" in refused or "found 'ssh'" in refused, refused
    assert not (site.tasks / "arm.yaml").exists()
    assert not ran.exists()


def test_draft_is_visible_to_its_user_alone(site, draft, preview):
    other = {"X-Kinemill-User": "eve", "X-Kinemill-May": "administer"}
    body = {"channels": rows(preview.model_dump())}
    for response in (
        site.client.get(f"/api/v1/drafts/{draft}", headers=other),
        site.client.put(f"/api/v1/drafts/{draft}/logs/a.csv", content=b"x", headers=other),
        site.client.post(f"/api/v1/drafts/{draft}/build", json={}, headers=other),
        site.client.post(f"/api/v1/drafts/{draft}/edit", json=body, headers=other),
        site.client.post(
            "/api/v1/tasks", json={"task": preview.task, "draft": draft}, headers=other
        ),
    ):
        assert response.status_code == 404, response.text
    assert not (site.tasks / "arm.yaml").exists()


def test_drafts_beyond_a_day_or_five_per_user_are_deleted(site, monkeypatch):
    ids = [start(site)["id"] for _ in range(7)]
    assert {path.name for path in site.home.drafts.iterdir()} == set(ids[2:])
    monkeypatch.setattr(draft_store, "AGE", -1.0)
    site.get(f"drafts/{ids[-1]}", status=404)
    assert list(site.home.drafts.iterdir()) == []


@pytest.mark.parametrize("draft", ["%2e%2e", "x", "0" * 32, "..%2f..%2fetc"])
def test_unknown_draft_is_404(site, draft):
    response = site.client.get(f"/api/v1/drafts/{draft}")
    assert response.status_code in (400, 404)


def test_existing_log_of_the_same_name_is_kept(site, draft, preview):
    drop = site.home.logs("arm")
    drop.mkdir(parents=True)
    (drop / LOGS[0]).write_text("mine")
    message = site.post("tasks", {"task": preview.task, "draft": draft}, 400)["message"]
    assert "is in the drop folder already" in message
    assert not (site.tasks / "arm.yaml").exists()
    assert (drop / LOGS[0]).read_text() == "mine"
    (drop / LOGS[0]).unlink()
    site.post("tasks", {"task": preview.task, "draft": draft}, 201)


def test_draft_beyond_its_time_limit_is_ended(site, logs, monkeypatch):
    monkeypatch.setattr(f"{LOG_ROUTES}.PATIENCE", 0.1)
    message = site.post(f"drafts/{uploaded(site, logs)}/build", status=400)["message"]
    assert "cannot be read within" in message


def test_third_concurrent_draft_waits(site, logs, monkeypatch):
    monkeypatch.setattr(drafts, "_slots", threading.BoundedSemaphore(1))
    monkeypatch.setattr(drafts, "_WAIT", 0.01)
    with drafts._slot():
        message = site.post(f"drafts/{uploaded(site, logs)}/build", status=503)["message"]
    assert "is busy with" in message


@pytest.mark.skipif(os.geteuid() == 0, reason="root writes everywhere")
def test_read_only_task_folder_is_an_error(site, draft, preview):
    site.tasks.chmod(0o500)
    response = site.client.post("/api/v1/tasks", json={"task": preview.task})
    assert "cannot be written" in response.json()["message"]
