"""Packages that import their public names on first use: each name exists."""

import importlib

import pytest


@pytest.mark.parametrize("package", ["kinemill.register"])
def test_every_public_name_is_in_the_module_that_is_named(package):
    module = importlib.import_module(package)
    assert module._MODULES
    assert [name for name in module._MODULES if not hasattr(module, name)] == []
    with pytest.raises(AttributeError, match="nothing"):
        _ = module.nothing
