"""Families: the folder is the list, one file is imported at a time, names are never taken twice."""

import sys
from importlib.metadata import EntryPoint

import pytest

from kinemill import registry as module
from kinemill.errors import BadInput
from kinemill.registry import Registry, nearest


@pytest.fixture
def family(tmp_path, monkeypatch, request) -> Registry:
    """A family of three files: `red`, `blue`, `silent` that registers nothing, and a helper."""
    package = f"paints_{abs(hash(request.node.name))}"
    folder = tmp_path / package
    folder.mkdir()
    (folder / "__init__.py").write_text(
        "from kinemill.registry import Registry\nPAINTS = Registry(__name__, 'paint')\n"
    )
    for name in ("red", "blue"):
        (folder / f"{name}.py").write_text(
            f"from {package} import PAINTS\nPAINTS.register({name!r})({name.upper()!r})\n"
        )
    (folder / "silent.py").write_text("")
    (folder / "_mixing.py").write_text("raise RuntimeError\n")
    monkeypatch.syspath_prepend(tmp_path)
    return __import__(package).PAINTS


def test_the_files_of_the_folder_are_the_names(family):
    assert list(family) == ["blue", "red", "silent"]
    assert len(family) == 3
    assert "red" in family
    assert "_mixing" not in family


def test_only_the_file_asked_for_is_imported(family):
    assert family["red"] == "RED"
    assert f"{family.package}.red" in sys.modules
    assert f"{family.package}.blue" not in sys.modules


def test_an_unknown_name_is_refused_with_the_nearest(family):
    with pytest.raises(BadInput, match=r"paint 'rad': unknown name; did you mean 'red'\?"):
        family["rad"]


def test_a_file_that_registers_nothing_is_refused(family):
    with pytest.raises(BadInput, match=r"silent\.py registers no paint called 'silent'"):
        family["silent"]


def test_a_name_taken_twice_is_refused(family):
    family.register("green")("GREEN")
    with pytest.raises(BadInput, match="two paint plug-ins are called 'green'"):
        family.register("green")("OTHER")


def test_third_parties_join_by_entry_point(family, tmp_path, monkeypatch):
    (tmp_path / "shop.py").write_text(
        f"from {family.package} import PAINTS\nPAINTS.register('gold')('GOLD')\n"
    )
    point = EntryPoint("gold", "shop", family.package)
    monkeypatch.setattr(module, "entry_points", lambda group: [point])
    assert "gold" in family
    assert list(family) == ["blue", "gold", "red", "silent"]
    assert family["gold"] == "GOLD"


def test_an_entry_point_may_not_take_a_name_that_is_taken(family, monkeypatch):
    point = EntryPoint("red", "shop", family.package)
    monkeypatch.setattr(module, "entry_points", lambda group: [point])
    with pytest.raises(BadInput, match="two paint plug-ins are called 'red'"):
        list(family)


@pytest.mark.parametrize(
    ("name", "message"),
    [("mpl", "did you mean 'mlp'?"), ("transformer", "known: gru, mlp"), ("", "known: gru, mlp")],
)
def test_the_nearest_name_is_offered_or_all_are_listed(name, message):
    assert nearest(name, ["mlp", "gru"]) == message
