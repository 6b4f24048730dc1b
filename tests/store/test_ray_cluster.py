"""A Ray cluster that does not respond: an error within seconds instead of none."""

import pytest

from kinemill.errors import Unreachable
from kinemill.store import ray_cluster
from kinemill.task.compute import Ray
from kinemill_dagster.resources.ray_job import LOST, run
from kinemill_dagster.resources.remote_job import RemoteJob
from tests.lost_servers import MODES, lost_server


@pytest.mark.parametrize("mode", MODES)
def test_lost_cluster_is_named_with_the_remedy(monkeypatch, mode):
    monkeypatch.setattr(ray_cluster, "_PATIENCE", 0.3)
    with lost_server(mode) as port:
        for address in (f"127.0.0.1:{port}", f"ray://127.0.0.1:{port}"):
            with pytest.raises(Unreachable) as error:
                ray_cluster.connect_ray(address)
            assert str(error.value).startswith(f"127.0.0.1:{port}: the Ray cluster does not")
            assert "compute.address or RAY_ADDRESS" in str(error.value)


def test_job_on_a_lost_cluster_asks_for_a_retry(monkeypatch, capsys, home):
    monkeypatch.setattr(ray_cluster, "_PATIENCE", 0.3)
    with lost_server("silent") as port:
        job = RemoteJob.of("module", (), home, [])
        assert run(job, Ray(address=f"127.0.0.1:{port}")) == LOST
    assert f"127.0.0.1:{port}: the Ray cluster does not respond" in capsys.readouterr().err
