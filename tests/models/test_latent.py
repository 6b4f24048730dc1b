"""The latent state: what its encoder and its limits do."""

import pytest
import torch
from pydantic import ValidationError

from kinemill.errors import BadInput
from kinemill.models.latent import Latent
from kinemill.task.document import Task
from kinemill.train.layout import make_layout
from kinemill.train.relations import Output
from tests.models import systems
from tests.models.systems import UNFIT, facts, scale_of

TASK = systems.task_of(("level", "V"), ("pump", "V"), 4.0, model={"type": "mlp"})
HISTORY = 3


def build(relation="equal", **settings):
    torch.manual_seed(0)
    layout = make_layout(
        TASK, {"level": Output(relation=relation, of="level")}, "semi_implicit", HISTORY
    )
    # Levels have a mean of 4 V and a spread of 2 V.
    scale = scale_of([2.0], [4.0, 3.0], [2.0, 1.0], [4.0], [2.0])
    return Latent(**settings).build_for(layout, scale)


def test_an_output_comes_up_to_its_limit_and_no_further():
    """The limits 0 and 10 V are -2 and 3 standard deviations; values between them stay."""
    network = build(limits={"level": (0.0, 10.0)})
    result = network.saturate(torch.tensor([[-50.0], [0.5], [2.9], [50.0]])).flatten()
    assert result[0].item() == pytest.approx(-2.0, abs=1e-6)
    assert result[1].item() == pytest.approx(0.5, abs=1e-6)
    assert 2.7 < result[2].item() < 2.9
    assert result[3].item() == pytest.approx(3.0, abs=1e-6)
    free = build().saturate(torch.tensor([[50.0]]))
    assert free.item() == 50.0


def test_without_actions_the_state_goes_on_by_itself():
    free = TASK.model_copy(update={"channels": {"level": TASK.channels["level"]}})
    output = {"level": Output(relation="equal", of="level")}
    layout = make_layout(free, output, "semi_implicit", HISTORY)
    scale = scale_of([2.0], [4.0], [2.0], [4.0], [2.0])
    network = Latent().build_for(layout, scale)
    row = torch.randn(5, 1)
    outputs, *carry = network(row, *network.warm_up(torch.randn(5, HISTORY - 1, 1)))
    assert outputs.shape == (5, 1)
    assert torch.isfinite(network(row, *carry)[0]).all()


def test_after_the_history_only_actions_are_looked_at():
    network = build()
    past, present = torch.randn(1, HISTORY - 1, 2), torch.randn(1, 2)
    _, *carry = network(present, *network.warm_up(past))
    row = torch.randn(1, 2)
    here, *_ = network(row, *carry)
    level, pump = (row + torch.eye(2)[index] for index in range(2))
    assert torch.equal(network(level, *carry)[0], here)
    assert not torch.equal(network(pump, *carry)[0], here)


def test_a_rollout_continues_from_the_measured_level_and_its_offset_decays():
    """The level is measured as 6 V, one standard deviation above the mean, whatever x says."""
    network = build()
    torch.nn.init.zeros_(network.encoder.weight)
    past, present = torch.zeros(1, HISTORY - 1, 2), torch.tensor([[1.0, 0.0]])
    hidden = network.encoder.bias.detach().unsqueeze(0)
    offset = 1.0 - network.head(hidden)
    outputs, *carry = network(present, *network.warm_up(past))
    for _ in range(3):
        hidden, expected = network.advance(hidden, torch.zeros(1, 1))
        offset = torch.sigmoid(network.decay) * offset
        assert torch.allclose(outputs, expected + offset, atol=1e-6)
        outputs, *carry = network(torch.zeros(1, 2), *carry)


@pytest.mark.parametrize(("relation", "settings"), [("delta", {}), ("equal", {"offset": False})])
def test_there_is_no_offset_of_changes_nor_without_the_setting(relation, settings):
    network = build(relation, **settings)
    assert network.carry_shapes[2] == (network.encoder.out_features,)
    assert "decay" not in dict(network.named_parameters())


def test_limits_of_what_is_no_value_are_refused():
    with pytest.raises(BadInput, match="relation: equal"):
        build("delta", limits={"level": (0.0, 10.0)})
    document = TASK.model_dump() | {"task": "tank"}
    document["learn"] = {
        "type": "dynamics",
        "model": {"type": "latent", "limits": {"pump": [0, 1]}},
    }
    with pytest.raises((ValidationError, BadInput)):
        Task.model_validate(document)


def small(own):
    return [
        candidate for candidate in Latent.candidates(own) if "gauss_newton" in candidate.settings
    ]


def test_a_small_model_of_few_states_is_fitted_to_long_rollouts_with_the_limits_of_sensors():
    (one,) = small(facts(saturated={"level": (-4.0, 10.0)}))
    assert one.settings["model"]["limits"] == {"level": (-4.0, 10.0)}
    assert one.settings["horizon"] == 100
    network = Latent(**one.settings["model"]).build(2, 1, one.settings["history"])
    assert sum(own.numel() for own in network.parameters()) < 200


@pytest.mark.parametrize("unfit", list(UNFIT))
def test_no_small_model_is_proposed_where_it_has_many_weights_or_the_state_is_measured(unfit):
    assert small(facts(**UNFIT[unfit])) == []
