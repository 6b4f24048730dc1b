"""A lost database: the versions of the store are registered again, with MLflow's public API."""

import shutil

import pytest

from kinemill import runtime
from kinemill.errors import BadInput
from kinemill.register import audit, fetch_bundle, list_versions, promotion
from kinemill.register.rebuild import rebuild_registry
from kinemill.store import to_json_value
from tests.register.conftest import hang_up


@pytest.fixture
def lost(with_champion, monkeypatch):
    """Return a registry without its database, and its lists of versions and events."""
    chain = with_champion(3)
    monkeypatch.setattr(promotion, "serve_zero_window", lambda folder: (True, "answered"))
    chain.register(0.31, gain=0.9)
    promotion.rollback(chain.task, chain.home, why="it shakes")
    listed, events = list_versions("cart", chain.home), audit(chain.home, "cart").events
    hang_up(chain.home)
    chain.home.mlflow_db.unlink()
    return chain, listed, events


def test_lost_registry_is_registered_again_with_numbers_and_champion(lost):
    chain, listed, events = lost
    result = rebuild_registry(chain.home)
    assert result["tasks"] == {"cart": {"versions": 4, "champion": 2}}
    assert audit(chain.home, "cart").events == events
    for before, after in zip(
        listed.versions, list_versions("cart", chain.home).versions, strict=True
    ):
        same = to_json_value(before) | {"created": after.created}
        assert to_json_value(after) == same | {
            "aliases": [a for a in before.aliases if a != "challenger"]
        }
    assert runtime.load(fetch_bundle("models:/cart@champion", chain.home)).history == 3
    assert chain.register(0.31, gain=0.9).status == "unchanged"
    assert chain.register(0.3, gain=1.1).version == 5
    with pytest.raises(BadInput, match="has a registry, which is not replaced"):
        rebuild_registry(chain.home)


def test_version_without_files_keeps_its_number_free(lost):
    chain, _, _ = lost
    bundles = sorted(
        (chain.home.store / "bundle" / "cart").iterdir(), key=lambda p: p.stat().st_mtime
    )
    shutil.rmtree(bundles[0])
    assert rebuild_registry(chain.home)["tasks"]["cart"]["versions"] == 3
    assert 1 not in [line.version for line in list_versions("cart", chain.home).versions]
