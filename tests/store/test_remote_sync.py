"""Synchronization with an object store that holds hostile names."""

import json

import pytest

from kinemill.errors import CorruptArtifact
from kinemill.store import remote_sync


class Bucket:
    """An object store in memory: content by key."""

    address = "s3://bucket/home"

    def __init__(self, objects):
        self.objects = objects

    def get(self, key, to):
        if key in self.objects:
            to.write_bytes(self.objects[key])
        return key in self.objects

    def names(self, folder, *, below=False):
        names = {
            key.removeprefix(f"{folder}/"): 1 for key in self.objects if key.startswith(folder)
        }
        return {name: size for name, size in names.items() if below or "/" not in name}


@pytest.fixture
def bucket(monkeypatch):
    stored = Bucket({})
    monkeypatch.setattr(remote_sync, "remote", lambda: stored)
    return stored


def files_of(folder):
    return {path.relative_to(folder).as_posix() for path in folder.rglob("*") if path.is_file()}


@pytest.mark.parametrize("name", ["../../../../x", "/outside", "a/../../x", "", ".", "a\0b"])
def test_manifest_that_names_files_elsewhere_is_damaged(home, bucket, tmp_path, name):
    home.make()
    before, folder = files_of(tmp_path), home.store / "model" / "arm" / ("0" * 32)
    key = folder.relative_to(home.root).as_posix()
    bucket.objects = {
        f"{key}/MANIFEST.json": json.dumps({"files": {name: {"sha256": "0" * 64}}}).encode(),
        f"{key}/{name}": b"hostile",
    }
    assert not remote_sync.bring(home, folder)
    assert files_of(tmp_path) == before


def test_listed_name_that_leaves_the_folder_is_refused(home, bucket, tmp_path):
    home.make()
    before, folder = files_of(tmp_path), home.store / "members" / "arm"
    bucket.names = lambda *_, **__: {"../../../x": 1}
    with pytest.raises(CorruptArtifact, match=r"holds an object named '\.\./\.\./\.\./x'"):
        remote_sync.bring_new(home, folder)
    assert files_of(tmp_path) == before


@pytest.mark.parametrize("name", ["../../../x-000000001", "a/b-000000001", "/x-000000001"])
def test_checkpoint_that_leaves_its_training_is_refused(home, bucket, tmp_path, name):
    home.make()
    before, folder = files_of(tmp_path), home.runs / "arm" / "key"
    bucket.objects = {f"runs/arm/key/{name}/index.json": b"{}"}
    with pytest.raises(CorruptArtifact, match="holds an object named"):
        remote_sync.bring_checkpoint(folder, "index.json")
    assert files_of(tmp_path) == before
