"""An S3 store shared by homes: written through, fetched when asked for, never half there."""

import json
import logging
import os
import re
import signal
import subprocess
import sys

import pytest

from kinemill import parallel
from kinemill.errors import BadInput, CorruptArtifact, Unreachable
from kinemill.ingest import stage as ingest
from kinemill.store import get_or_build, object_store, open_ref, read_json, remote_sync, summary_of
from kinemill.store.home import Home
from tests.conftest import ROOT

INPUTS = {"of": "everything it depends on"}


def make(home, text="numbers", inputs=INPUTS):
    def build(folder):
        (folder / "data.txt").write_text(text)
        (folder / "more").mkdir()
        (folder / "more" / "b.bin").write_bytes(bytes(range(256)) * 40_000)  # more than one part
        return {"rows": len(text)}

    return get_or_build(home, "dataset", "arm", inputs, build)


def keys(bucket):
    return sorted(item.key for item in bucket.objects.all() if not item.key.endswith("/"))


@pytest.fixture
def homes(tmp_path):
    return Home(tmp_path / "a"), Home(tmp_path / "b")


def test_what_one_machine_publishes_the_other_finds_without_making_it(bucket, homes):
    one, other = homes
    made = make(one)
    workspace = f"mill/{made.ref.path}"
    assert keys(bucket) == [
        f"{workspace}/{name}"
        for name in ("MANIFEST.json", "data.txt", "more/b.bin", "summary.json")
    ]
    result = make(other, text="other numbers")  # would be different, if it were made
    assert (result.ref, result.cached, result.summary) == (made.ref, True, {"rows": 7})
    for name in ("data.txt", "more/b.bin"):
        there = [(home.root / made.ref.path / name).read_bytes() for home in homes]
        assert there[0] == there[1]


def test_a_reference_is_opened_on_a_machine_that_has_nothing(bucket, homes):
    one, other = homes
    made = make(one)
    assert summary_of(other, made.ref) == {"rows": 7}
    assert (open_ref(other, made.ref) / "data.txt").read_text() == "numbers"


def test_damage_at_home_is_healed_by_the_copy_of_another_machine(bucket, homes):
    made = make(homes[0])
    file = homes[0].root / made.ref.path / "data.txt"
    file.write_text("damaged")
    again = make(homes[0], text="would be made anew")
    assert (again.cached, file.read_text()) == (True, "numbers")


def test_damage_in_the_store_is_as_if_nothing_were_there(bucket, homes):
    one, other = homes
    made = make(one)
    bucket.put_object(Key=f"mill/{made.ref.path}/data.txt", Body=b"nUmbers")
    with pytest.raises(CorruptArtifact, match="is missing or incomplete"):
        open_ref(other, made.ref)
    again = make(other, text="made again")
    assert not again.cached
    assert bucket.Object(f"mill/{made.ref.path}/data.txt").get()["Body"].read() == b"made again"


@pytest.mark.parametrize(
    "fault", ["remote.data:1", pytest.param("remote.sent:2", marks=pytest.mark.ci)]
)
def test_a_machine_that_dies_while_it_uploads_leaves_nothing_half(bucket, homes, fault):
    one, other = homes
    script = (
        "import sys; from pathlib import Path; from kinemill.store.home import Home\n"
        "from tests.deploy.test_remote import make\n"
        "make(Home(Path(sys.argv[1])))"
    )
    died = subprocess.run(
        [sys.executable, "-c", script, str(one.root)],
        cwd=ROOT,
        env={**os.environ, "KINEMILL_FAULT": fault, "PYTHONPATH": str(ROOT)},
        check=False,
    )
    assert died.returncode == -signal.SIGKILL
    whole = any(key.endswith("MANIFEST.json") for key in keys(bucket))
    assert whole == (fault == "remote.sent:2")
    assert make(other, text="numbers").cached == whole
    assert make(one).cached  # it lost its own, and finds the other's


def test_a_store_that_is_down_is_said_so_and_nothing_is_published(monkeypatch, homes):
    monkeypatch.setenv("AWS_ACCESS_KEY_ID", "test")
    monkeypatch.setenv("AWS_SECRET_ACCESS_KEY", "test")
    monkeypatch.setattr(object_store, "_ATTEMPTS", 2)
    monkeypatch.setattr(object_store, "_FIRST_TRIES", 0.0)
    down = "s3://nobody/mill?endpoint_override=127.0.0.1:9&scheme=http&region=us-east-1"
    monkeypatch.setenv("KINEMILL_REMOTE", down)
    with pytest.raises(Unreachable, match=r"s3://nobody/mill/store.*a rerun resumes from here"):
        make(homes[0])
    assert list(homes[0].store.glob("dataset/arm/*")) == []
    assert list(homes[0].store.glob(".staging/*")) == []
    monkeypatch.delenv("KINEMILL_REMOTE")
    assert not make(homes[0]).cached


def test_an_address_with_an_unknown_option_is_refused(monkeypatch, homes):
    monkeypatch.setenv("KINEMILL_REMOTE", "s3://mill?endpoint=http://here")
    with pytest.raises(BadInput, match="has 'endpoint'; expected endpoint_override or scheme"):
        make(homes[0])


def test_a_mounted_folder_serves_as_well(monkeypatch, tmp_path, homes):
    monkeypatch.setenv("KINEMILL_REMOTE", f"file://{tmp_path}/mounted")
    made = make(homes[0])
    assert make(homes[1]).cached
    assert (tmp_path / "mounted" / made.ref.path / "MANIFEST.json").is_file()


@pytest.mark.ci
@pytest.mark.parametrize("many", [parallel.MANY, 1])
def test_recordings_of_one_machine_are_recordings_of_the_other(
    bucket, homes, task, logs, many, monkeypatch
):
    monkeypatch.setattr(parallel, "MANY", many)  # from 1 on processes read them
    one, other = homes
    first = ingest.run(task, one, logs)
    nothing = other.logs(task.name)
    nothing.mkdir(parents=True)
    second = ingest.run(task, other, nothing)
    assert second.artifact.ref == first.artifact.ref
    assert first.artifact.summary["recordings"] > 3
    assert second.artifact.summary == first.artifact.summary
    raw = [key for key in keys(bucket) if key.startswith("mill/store/raw/")]
    assert len(raw) == first.artifact.summary["recordings"]
    assert not any("/index/" in key or "/pending/" in key for key in keys(bucket))


@pytest.mark.ci
def test_what_is_rejected_on_one_machine_is_rejected_on_the_other(bucket, homes, task, logs):
    from kinemill.ingest.decisions import DECISIONS, current_decisions, decide

    one, other = homes
    first = ingest.run(task, one, logs)
    entry = next(iter(read_json(path) for path in one.store.glob(f"members/{task.name}/*.json")))
    decide(one, task.name, entry["hash"], entry["name"], "reject", "a test")
    second = ingest.run(task, other, logs)
    assert entry["hash"] in current_decisions(other, task.name)
    assert second.artifact.summary["recordings"] == first.artifact.summary["recordings"] - 1
    decide(other, task.name, entry["hash"], entry["name"], "withdraw", "")
    ingest.run(task, one, logs)
    assert [made.number for made in DECISIONS.read(one, task.name)] == [1, 2]


def test_the_newest_whole_checkpoint_is_fetched_and_older_ones_go(bucket, homes):
    from kinemill.task.learn import Keep
    from kinemill.train.checkpoint import INDEX, read_checkpoint, write_checkpoint

    one, other = (home.runs / "arm" / "0123abcd" for home in homes)
    for step in (100, 200, 300):
        write_checkpoint(one, tensors(step), {"step": step}, Keep(last=2))
    names = sorted({key.split("/")[4] for key in keys(bucket)})
    assert names == ["checkpoint-000000200", "checkpoint-000000300"]
    bucket.put_object(
        Key="mill/runs/arm/0123abcd/checkpoint-000000400/tensors.safetensors", Body=b""
    )
    assert remote_sync.bring_checkpoint(other, INDEX) == "checkpoint-000000300"  # 400 was half sent
    result, state = read_checkpoint(other)
    assert (state["step"], float(result["weights"]["w"][0])) == (300, 300.0)
    assert remote_sync.bring_checkpoint(other, INDEX) is None  # it is there
    write_checkpoint(other, tensors(350), {"step": 350}, Keep(last=2))
    assert remote_sync.bring_checkpoint(one, INDEX) == "checkpoint-000000350"


def tensors(step):
    import torch

    return {"weights": {"w": torch.full((3,), float(step))}}


def test_a_training_goes_on_while_the_store_is_down(bucket, homes, monkeypatch, caplog):
    from kinemill.task.learn import Keep
    from kinemill.train.checkpoint import write_checkpoint

    folder = homes[0].runs / "arm" / "0123abcd"
    up = os.environ["KINEMILL_REMOTE"]
    monkeypatch.setattr(object_store, "_ATTEMPTS", 1)
    monkeypatch.setattr(object_store, "_FIRST_TRIES", 0.0)
    monkeypatch.setenv("KINEMILL_REMOTE", re.sub(r":\d+&", ":9&", up))
    with caplog.at_level(logging.WARNING):
        write_checkpoint(folder, tensors(1), {"step": 1}, Keep(last=2))
    assert "the checkpoint is kept locally until the next upload" in caplog.text
    monkeypatch.setenv("KINEMILL_REMOTE", up)
    write_checkpoint(folder, tensors(2), {"step": 2}, Keep(last=2))
    assert {key.split("/")[4][-1] for key in keys(bucket)} == {"1", "2"}


def test_forgetting_a_recording_takes_it_out_of_the_store(bucket, homes, task, logs):
    from kinemill.ingest.membership import Member
    from kinemill.validate.forget import forget

    one, _ = homes
    ingest.run(task, one, logs)
    entry = read_json(next(iter(sorted(one.store.glob(f"members/{task.name}/*.json")))))
    entry.pop("format", None)
    member = Member(**entry)
    forget(task, one, member)
    remaining = keys(bucket)
    assert not any(member.hash in key for key in remaining)
    bodies = [
        bucket.Object(key).get()["Body"].read() for key in remaining if key.endswith("summary.json")
    ]
    assert not any(json.loads(body).get("hash") == member.hash for body in bodies)


@pytest.fixture
def task(tasks):
    from kinemill.task import load_task

    return load_task(tasks / "tiny.yaml")
