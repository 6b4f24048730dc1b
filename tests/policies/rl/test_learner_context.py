"""Settings that exceed the machine's memory are refused before environments are created."""

import pytest

from kinemill.errors import BadInput
from kinemill.policies.environments.factory import make_environment
from kinemill.policies.environments.layout import layout_of
from kinemill.policies.rl import learner_context
from kinemill.policies.rl.learner_context import check_machine
from kinemill.store.machine import GIB, Memory
from kinemill_dagster.resources.machine_check import check_machine as before_any_stage
from tests.policies.rl.test_training_loop import CART, DOORS, POINT, rl_task, settings_of


@pytest.fixture
def check(monkeypatch):
    """Check settings on a host with some free bytes."""

    def run(free, copies, **learn):
        memory = Memory("the host", 64 * GIB - free, 64 * GIB)
        monkeypatch.setattr(learner_context, "host_memory", lambda: memory)
        task = rl_task(**learn)
        check_machine(task.learn, layout_of(task, make_environment(task)), copies)

    return run


def test_a_rollout_buffer_beyond_the_memory_names_the_environments(check):
    """16 steps of 1000 environments, 4 bytes for each observed or acted number."""
    layout = layout_of(rl_task(), make_environment(rl_task()))
    numbers = len(layout.observation) + len(layout.actions)
    needed = 4 * numbers * 16 * 1000
    check(needed, 1000)
    message = (
        r"learn\.num_envs: 1000 times .*n_steps: the buffer takes .*are free.*lower learn\.num_envs"
    )
    with pytest.raises(BadInput, match=message):
        check(needed - 1, 1000)


def test_a_replay_buffer_is_as_large_as_the_training_at_most(check):
    check(10**6, 2, algorithm="sac", steps=1000, environment=POINT)
    message = r"buffer_size: 1000000: .*lower learn\.algorithm\.buffer_size"
    with pytest.raises(BadInput, match=message):
        check(10**6, 2, algorithm="sac", steps=10_000_000, environment=POINT)


def test_processes_beyond_the_cores_are_refused(check, monkeypatch):
    monkeypatch.setattr("os.sched_getaffinity", lambda _: {0, 1})
    runner = {"type": "processes", "workers": 9}
    message = r"learn\.runner\.workers: is 9; .*at most 8, 4 for each core"
    with pytest.raises(BadInput, match=message):
        check(GIB, 9, runner=runner)


def of_class(name):
    return {"type": "python", "path": f"tests.policies.environments.{name}"}


@pytest.mark.parametrize(
    ("environment", "algorithm", "learn", "message"),
    [
        (CART, "sac", {}, "cannot learn choice actions"),
        (DOORS, "ppo", {}, "maskable_ppo"),
        (
            CART,
            {**settings_of("ppo"), "log_std_init": -2.0},
            {},
            r"learn\.algorithm\.log_std_init: needs continuous actions, not choice",
        ),
        (CART, "maskable_ppo", {}, "needs an environment that observes `action_mask`"),
        (POINT, "dqn", {}, r"learn\.algorithm\.type: dqn.*cannot learn continuous actions.*choice"),
        (POINT, "ppo", {"model": {"type": "gru"}}, r"learn\.model\.type: gru.*recurrent_ppo"),
        (POINT, "evolution", {"model": {"type": "gru"}}, r"learn\.model\.type: gru.*recurrent_ppo"),
        (
            POINT,
            "evolution",
            {"model": {"type": "composed", "blocks": {"a": {"type": "dense", "of": ["obs"]}}}},
            "obs: is not a part or block; known: observation",
        ),
        (POINT, "recurrent_ppo", {"model": {"type": "gru"}}, "already has an LSTM"),
        (of_class("spaces:Camera"), "evolution", {}, r"observes camera.*use .*sac"),
        (of_class("spaces:Nested"), "sac", {}, "cannot learn mixed actions"),
        (of_class("games:Countdown"), "maskable_ppo", {}, r"in turns.*use a2c, evolution, ppo"),
    ],
)
@pytest.mark.filterwarnings("ignore:text observations are ignored")
def test_settings_that_cannot_train_are_refused_before_any_stage(
    environment, algorithm, learn, message
):
    with pytest.raises(BadInput, match=message):
        before_any_stage(rl_task(environment, algorithm, **learn))
