"""A challenger becomes champion if it is better by the margin on the same windows."""

import numpy as np
import pytest

from kinemill.register import list_versions
from kinemill.register.gate.measurements import DynamicsMeasurements
from kinemill.task import load_task
from tests.register.conftest import Claims
from tests.register.registrations import found_by, gate_of


def test_a_champion_is_replaced_only_by_one_that_is_better_by_the_margin(chain):
    chain.register(0.1)
    # The champion is measured afresh at 0.2: 2 % better is 0.196.
    worse = chain.register(0.1961, gain=0.6, champion=0.2)
    assert (worse.status, gate_of(worse)["beats_champion"]) == ("refused", False)
    better = chain.register(0.196, gain=0.7, champion=0.2)
    assert (better.status, better.alias, better.previous_champion) == ("done", "champion", 1)
    aliases = {item.version: item.aliases for item in list_versions("cart", chain.home).versions}
    assert aliases == {3: ["champion"], 2: [], 1: []}


def test_the_champion_that_is_measured_is_the_registered_file(chain):
    chain.register(0.1, gain=0.5)
    observed = []

    class Recording(Claims):
        def measure(self, challenger):
            self._look(challenger)
            return super().measure(challenger)

        def compare(self, challenger, champion, trained_on=None):
            self._look(challenger, champion)
            return super().compare(challenger, champion)

        def _look(self, *models):
            zeros = np.zeros((1, 3, 2)), np.zeros((1, 2, 1))
            observed.extend(model.rollout(*zeros, np.full((1, 1, 1), 4.0)) for model in models)

    chain.register(0.05, gain=0.9, evidence=Recording(0.05))
    assert [float(response[0, 0, 0]) for response in observed] == pytest.approx([3.6, 3.6, 2.0])


def test_by_default_the_champion_is_measured_on_the_test_split_at_the_tasks_horizon(chain):
    chain.register(0.1, gain=0.5)
    # States alternate 1, -1 (deviation 1). The champion answers the last state + 0.5 * 2 N, which
    # after an even number of steps is off by 1: an nrmse of 1, whatever its history.
    task = load_task(chain.task.path, {"verify.horizon": 4})
    test = DynamicsMeasurements(task, chain.home, chain.produce().dataset)
    registration = chain.register(0.5, gain=0.6, history=5, task=task, evidence=test)
    (verdict,) = [item for item in registration.gate if item.rule == "beats_champion"]
    assert verdict.expected == "<= 0.98 (champion version 1: 1, less 2 %)"
    task = load_task(chain.task.path, {"verify.horizon": 100})
    test = DynamicsMeasurements(task, chain.home, chain.produce().dataset)
    registration = chain.register(0.5, gain=0.7, task=task, evidence=test)
    (verdict,) = [item for item in registration.gate if item.rule == "beats_champion"]
    assert "cannot be measured: dataset of cart: no episode has" in verdict.value


def test_latency_is_asked_only_when_the_task_sets_a_bound(chain, tmp_path):
    task = load_task(chain.task.path, {"verify.latency_p99_ms": 0.3})
    slow = chain.register(0.1, p99=0.4, task=task)
    assert (slow.status, gate_of(slow)["latency"]) == ("refused", False)
    quick = chain.register(0.1, p99=0.2, task=task)
    assert (quick.status, gate_of(quick)["latency"]) == ("done", True)


def test_other_channels_than_the_champions_are_refused_with_what_differs(chain):
    chain.register(0.1)
    units = {"position": "m", "velocity": "m/s", "force": "kN"}
    other = chain.register(0.01, gain=0.6, units=units, dt=0.05)
    (verdict,) = [item for item in other.gate if item.rule == "beats_champion"]
    assert (other.status, verdict.passed) == ("refused", False)
    assert "dt of the champion 0.02, of the challenger 0.05" in verdict.value
    assert "force of the champion in N, of the challenger in kN" in verdict.value
    assert "dt of the champion 0.02" in found_by(other, "interface")


def test_another_history_than_the_champions_is_compared_and_breaks_who_runs_it(chain):
    chain.register(0.1)
    other = chain.register(0.05, gain=0.6, history=5, champion=0.1)
    assert [line.rule for line in other.gate if not line.passed] == ["interface"]
    assert found_by(other, "interface") == "history of the champion 3, of the challenger 5"
    task = load_task(chain.task.path, {"promote.same_interface": False})
    assert chain.register(0.05, gain=0.6, history=5, champion=0.1, task=task).status == "done"
