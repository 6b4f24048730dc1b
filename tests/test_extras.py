"""Extras: the one that installs a package, and those that are installed."""

import sys

import pytest

from kinemill.extras import MissingPackage, extras, has_extra, missing_package, require_package


@pytest.mark.parametrize(
    ("package", "extra"),
    [
        ("gymnasium.spaces", "policies"),
        ("Box2D", "policies"),
        ("pygame", "policies"),
        ("stable_baselines3", "policies"),
        ("dagster_webserver", "server"),
        ("graphql.language", "server"),
        ("torch", "cpu"),
        ("polars", "cpu"),
        ("mlflow", "registry"),
        ("psycopg2", "postgres"),
        ("dm_control", "dm-control"),
    ],
)
def test_missing_package_of_an_extra_names_the_smallest_extra_with_it(package, extra):
    error = missing_package(ModuleNotFoundError(name=package))
    assert str(error) == (
        f"module {package.partition('.')[0]!r}: is not installed; expected the extra {extra!r}; "
        f"pip install 'kinemill[{extra}]'"
    )


def test_missing_package_of_no_extra_names_no_extra():
    error = missing_package(ModuleNotFoundError(name="lab_robots"), "model 'lab'")
    assert "model 'lab': needs 'lab_robots', which is not installed; install the" in str(error)
    assert missing_package(ModuleNotFoundError("no name")) is None
    assert missing_package(ModuleNotFoundError(name="kinemill.nothing")) is None


def test_all_is_cpu_policies_and_server():
    found = extras()
    assert found["all"] == found["cpu"] | found["policies"] | found["server"]
    assert not found["cpu"] & (found["policies"] | found["server"])


def test_extra_is_present_if_all_its_packages_are(monkeypatch):
    assert has_extra("policies")
    assert not has_extra("no-such-extra")
    require_package("mujoco", "a robot")
    monkeypatch.setitem(sys.modules, "mujoco", None)
    with pytest.raises(MissingPackage, match=r"a robot: needs 'mujoco'.*the extra 'policies'"):
        require_package("mujoco", "a robot")
