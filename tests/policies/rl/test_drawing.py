"""Graphs of policies and critics, traced from the networks of the library."""

import sb3_contrib
import stable_baselines3
import torch
from torch import nn

from kinemill.policies.rl.drawing import Call, blocks_of, critic_call
from kinemill.reports.network_graph import drawing
from kinemill.verify.networks import critic_section


def links(blocks):
    titles = {block.name: block.title for block in blocks}
    return [
        (block.title, block.below, [titles[above] for above in block.after]) for block in blocks
    ]


def model(library, env, **settings):
    buffer = (
        {}
        if hasattr(library, "collect_rollouts") and "PPO" in library.__name__
        else {"buffer_size": 9}
    )
    return library("MlpPolicy", env, device="cpu", **buffer, **settings).policy


def test_a_critic_of_states_is_its_layers_in_order():
    policy = model(stable_baselines3.PPO, "CartPole-v1", policy_kwargs={"net_arch": [5]})
    assert links(blocks_of(critic_call(policy))) == [
        ("observation", "batch x 4", []),
        ("5 x 4", "", ["observation"]),
        ("1 x 5", "tanh", ["5 x 4"]),
        ("value", "batch", ["1 x 5"]),
    ]


def test_critics_of_actions_are_drawn_side_by_side():
    settings = {"policy_kwargs": {"net_arch": {"pi": [3], "qf": [6]}}}
    policy = model(stable_baselines3.SAC, "Pendulum-v1", **settings)
    blocks = links(blocks_of(critic_call(policy)))
    assert blocks.count(("6 x 4", "", ["observation", "action"])) == 2
    assert [block for block in blocks if block[0].startswith("value")] == [
        ("value 1", "batch", ["1 x 6"]),
        ("value 2", "batch", ["1 x 6"]),
    ]


def test_a_recurrent_critic_is_drawn_and_q_networks_are_policies():
    recurrent = sb3_contrib.RecurrentPPO("MlpLstmPolicy", "CartPole-v1", device="cpu").policy
    assert links(blocks_of(critic_call(recurrent)))[1] == ("1024 x 4", "", ["observation"])
    assert critic_call(model(stable_baselines3.DQN, "CartPole-v1")) is None


class Branches(nn.Module):
    def __init__(self):
        super().__init__()
        self.a, self.b, self.c = nn.Linear(2, 3), nn.Linear(1, 4), nn.Linear(7, 1)

    def forward(self, row, command):
        return self.c(torch.cat([torch.sigmoid(self.a(row)), self.b(command)], dim=1))


def test_branches_meet_and_a_drawing_is_a_file_of_its_own(tmp_path):
    inputs = {"row": torch.zeros(2, 2), "other": torch.zeros(2, 1)}
    blocks = blocks_of(Call(Branches(), inputs, "value"))
    assert ("1 x 7", "sigmoid", ["3 x 2", "4 x 1"]) in links(blocks)
    svg = drawing(blocks)
    assert svg.startswith('<svg class="network"')
    assert 'xmlns="http://www.w3.org/2000/svg"' in svg
    assert critic_section(tmp_path / "critic.json") == ""
