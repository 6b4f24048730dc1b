"""Where trainings run: a class of settings for each target, chosen by `type`."""

from kinemill.task import load_task
from kinemill.task.compute import TARGETS
from kinemill_dagster.resources.compute import COMPUTE
from tests.conftest import EXAMPLES

CART_POLE = EXAMPLES / "cart_pole.yaml"


def test_every_target_has_its_settings_and_its_file():
    assert set(TARGETS) == set(COMPUTE) == {"local", "torchrun", "ray", "kubernetes"}
    assert load_task(CART_POLE).compute == TARGETS["local"]()


def test_one_override_moves_a_training_elsewhere():
    task = load_task(CART_POLE, {"compute.type": "ray", "compute.workers": 2, "compute.gpus": 0.5})
    assert (task.compute.type, task.compute.workers, task.compute.gpus) == ("ray", 2, 0.5)
    assert task.compute.max_runtime == 86_400
    assert "compute" not in str(task.part("learn"))
