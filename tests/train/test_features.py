"""Network inputs: every encoding, its scale, its origin, and refused settings."""

import json
import math
from dataclasses import replace
from typing import Literal

import numpy as np
import pytest
import torch

from kinemill.dataset import PackedDataset
from kinemill.errors import BadInput, TaskError
from kinemill.models.linear import Linear
from kinemill.task import ENCODINGS, load_task
from kinemill.task.document import Task
from kinemill.task.plugins import Encoding
from kinemill.train.layout import Layout, layout_of
from kinemill.train.scaling import scale_of
from kinemill.train.step import make_step
from tests.conftest import learning_task
from tests.dataset.packing import packed_of


def settings(name) -> Encoding:
    return ENCODINGS[name].model_validate({"type": name})


@pytest.mark.parametrize("name", list(ENCODINGS))
def test_every_encoding_keeps_shape_and_nan_and_sees_each_element_alone(name):
    values = torch.linspace(-4.0, 4.0, 24).view(2, 3, 4)
    values[1, 2, 3] = torch.nan
    parts = settings(name).encode(values)
    assert len(parts) == settings(name).parts
    alone = settings(name).encode(values[:1, 1:2])
    for part, own in zip(parts, alone, strict=True):
        assert part.shape == values.shape
        assert torch.equal(torch.isnan(part), torch.isnan(values))
        torch.testing.assert_close(part[:1, 1:2], own, rtol=0, atol=1e-6)  # vector units round


X = [-3.0, -0.5, 0.0, 0.25, 2.0]
BY_HAND = [
    ({"type": "plain"}, [X]),
    ({"type": "cos_sin"}, [[math.cos(x) for x in X], [math.sin(x) for x in X]]),
    # A quarter of a turn of 8 is 2: cos 0, sin 1.
    ({"type": "cos_sin", "period": 8.0}, [[math.cos(x * math.pi / 4) for x in X]]),
]


@pytest.mark.parametrize(("arguments", "expected"), BY_HAND)
def test_encodings_by_hand(arguments, expected):
    output = ENCODINGS[arguments["type"]].model_validate(arguments).encode(torch.tensor(X).double())
    for part, values in zip(output, expected, strict=False):
        assert part.tolist() == pytest.approx(values, abs=1e-12)


CHANNELS = {
    "angle": {"role": "state", "kind": "angle", "unit": "rad"},
    "place": {"role": "state", "kind": "coordinate", "unit": "m"},
    "speed": {"role": "state", "unit": "m/s"},
    "force": {"role": "action", "unit": "N"},
}


def cart_task(**learn) -> Task:
    usual = {"model": {"type": "gru", "hidden_size": 6}, "history": 3}
    return learning_task("cart", 0.1, CHANNELS, usual | learn)


def packed_cart(rows=(40, 25, 30), seed=0, far=1.0) -> PackedDataset:
    """Two training episodes and one of each other split, which are `far` times as wide."""
    random, runs = np.random.default_rng(seed), {"train": [], "validation": [], "test": []}
    for split, count in zip(["train", *runs], rows, strict=False):
        wide = 1.0 if split == "train" else far
        values = random.normal(size=(count, 4)).cumsum(0) * wide + 3.0
        runs[split].append(values.astype(np.float32).astype(np.float64))
    return packed_of("cart", 0.1, CHANNELS, runs)


def training_rows(dataset):
    return np.concatenate([dataset.rows(item) for item in dataset.of("train")]).astype(np.float64)


def scales(window="carried", **encoding):
    """Mean and spread of each feature: cos, sin, place, speed, force by default."""
    dataset = packed_cart()
    scale = scale_of(dataset, layout_of(cart_task(window=window, encoding=encoding)))
    return dataset, scale["feature_mean"].tolist(), scale["feature_std"].tolist()


@pytest.mark.parametrize("window", ["carried", "sliding"])
def test_the_usual_scale_is_mean_and_spread_of_training_and_cos_sin_have_none(window):
    dataset, mean, std = scales(window)
    rows = training_rows(dataset)
    assert mean == pytest.approx([0, 0, 0, *rows[:, 2:].mean(0)], rel=1e-6)
    # A coordinate by how far it moves in three rows, of either episode.
    moved = np.concatenate([p[3:, 1] - p[:-3, 1] for p in (rows[:40], rows[40:])])
    expected = [1, 1, np.sqrt((moved**2).mean()), *rows[:, 2:].std(0)]
    assert std == pytest.approx(expected, rel=1e-6)


@pytest.mark.parametrize("window", ["carried", "sliding"])
def test_a_range_becomes_minus_one_to_one(window):
    dataset, mean, std = scales(window, scale="range")
    rows = training_rows(dataset)
    features = (rows[:, 2:] - mean[3:]) / std[3:]
    assert features.min(0).tolist() == pytest.approx([-1, -1])
    assert features.max(0).tolist() == pytest.approx([1, 1])
    moved = np.concatenate([p[3:, 1] - p[:-3, 1] for p in (rows[:40], rows[40:])])
    assert (mean[2], std[2]) == pytest.approx((0.0, np.abs(moved).max()))


def test_a_range_that_ends_at_zero_is_a_range():
    _, mean, std = scales(channels={"force": {"type": "plain", "scale": [-2.0, 0.0]}})
    assert (mean[4], std[4]) == (-1.0, 1.0)


def test_no_scale_is_none_and_a_channel_may_have_its_own():
    one = {"speed": {"type": "plain", "scale": "range"}, "force": {"type": "plain"}}
    dataset, mean, std = scales(scale="none", channels=one)
    speed = training_rows(dataset)[:, 2]
    ends = (speed.max() + speed.min()) / 2, (speed.max() - speed.min()) / 2
    assert mean == pytest.approx([0, 0, 0, ends[0], 0])
    assert std == pytest.approx([1, 1, 1, ends[1], 1])


@pytest.mark.parametrize("scale", ["z_score", "range"])
def test_validation_and_test_episodes_do_not_count_however_wide(scale):
    output = []
    for far in (1.0, 100.0):
        dataset = packed_cart(rows=(40, 25, 30, 35), far=far)
        layout = layout_of(cart_task(encoding={"scale": scale}))
        output.append(scale_of(dataset, layout))
    for name, value in output[0].items():
        assert torch.equal(value, output[1][name]), name


def rolled(states, past, actions, **learn):
    dataset, task = packed_cart(), cart_task(**learn)
    torch.manual_seed(0)
    layout = layout_of(task)
    step = make_step(task.learn.model, layout, scale_of(dataset, layout)).eval()
    with torch.no_grad():
        return step.rollout(states, past, actions)


WINDOWS = [
    {"window": "carried"},
    {"window": "sliding"},
    {"window": "sliding", "encoding": {"channels": {"place": {"type": "relative", "to": "last"}}}},
    {
        "window": "sliding",
        "encoding": {"channels": {"place": {"type": "relative", "to": "previous"}}},
    },
    {"window": "carried", "model": {"type": "mlp", "hidden_sizes": [8]}},
    {"window": "carried", "history": 1},
]


@pytest.mark.parametrize("learn", WINDOWS)
def test_a_shifted_coordinate_moves_as_before_exactly(learn):
    """Sixteenths shifted by 64 m: both, and their differences, are exact in float32."""
    history = learn.get("history", 3)
    torch.manual_seed(1)
    states, past = torch.randn(5, history, 3), torch.randn(5, history - 1, 1)
    actions, shift = torch.randn(5, 4, 1), torch.tensor([0.0, 64.0, 0.0])
    states[..., 1] = torch.round(states[..., 1] * 16) / 16
    first = rolled(states, past, actions[:, :1], **learn)[:, 0]
    shifted = rolled(states + shift, past, actions[:, :1], **learn)[:, 0]
    assert torch.equal(first[:, [0, 2]], shifted[:, [0, 2]])
    # Over more steps the place itself is rounded, at 64 m to 2^-18 m.
    whole, far = (rolled(x, past, actions, **learn) for x in (states, states + shift))
    torch.testing.assert_close(far - shift, whole, rtol=0, atol=1e-4)


def test_without_it_a_shifted_coordinate_moves_otherwise():
    plain = {"encoding": {"channels": {"place": {"type": "plain"}}}}
    torch.manual_seed(1)
    states, past, actions = torch.randn(5, 3, 3), torch.randn(5, 2, 1), torch.randn(5, 4, 1)
    one = rolled(states, past, actions, **plain)
    other = rolled(states + torch.tensor([0.0, 64.0, 0.0]), past, actions, **plain)
    assert (one[..., [0, 2]] - other[..., [0, 2]]).abs().max() > 1e-2


def test_a_carried_window_shows_how_far_a_coordinate_moved_since_the_row_before():
    """The first row has none before it: its difference is 0."""
    dataset, task = packed_cart(), cart_task()
    layout = layout_of(task)
    step = make_step(task.learn.model, layout, scale_of(dataset, layout))
    inputs = []
    step.network.register_forward_hook(lambda module, args, result: inputs.append(args[0][0, 2]))
    carry = step.initial_carry(1)
    for position in [7.0, 9.0, 7.0, 3.0, 7.0]:
        _, *carry = step(torch.tensor([[0.0, position, 0.0]]), torch.zeros(1, 1), *carry)
    expected = np.array([0, 2, -2, -4, 4]) / step.feature_std[2].item()
    assert [part.item() for part in inputs] == pytest.approx(expected.tolist())


def test_all_stages_of_rk4_count_from_the_same_row():
    """A network that answers with the coordinate's difference alone: v' = 5 (x - x_before).

    From x = 1, x_before = 0.5, v = 2 over Δ = 0.1 by Kutta's rule, done here with plain numbers.
    """
    channels = {
        "place": {"role": "state", "kind": "coordinate", "unit": "m"},
        "speed": {"role": "state", "unit": "m/s", "derivative_of": "place"},
        "force": {"role": "action", "unit": "N"},
    }
    learn = {"type": "dynamics", "model": {"type": "linear"}, "history": 2, "integrator": "rk4"}
    outputs = {"push": {"relation": "derivative", "of": "speed"}}
    raw = {"task": "cart", "dt": 0.1, "channels": channels}
    layout = layout_of(Task.model_validate(raw | {"learn": learn | {"outputs": outputs}}))
    scale = {"state_std": torch.ones(2), "feature_mean": torch.zeros(3)}
    scale |= {"feature_std": torch.ones(3), "output_mean": torch.zeros(1)}
    step = make_step(Linear(), layout, scale | {"output_std": torch.ones(1)})
    inputs = ["place", "speed", "force"]
    order = [column for _, group in layout.groups for column in group]
    with torch.no_grad():
        step.network.head.weight.zero_()
        step.network.head.weight[0, [inputs[k] for k in order].index("place")] = 5.0
        step.network.head.bias.zero_()
        states = torch.tensor([[[0.5, 0.0], [1.0, 2.0]]])
        output = step.rollout(states, torch.zeros(1, 1, 1), torch.zeros(1, 1, 1))[0, 0]

    def slope(x, v):
        return np.array([v, 5.0 * (x - 0.5)])

    now = np.array([1.0, 2.0])
    k1 = slope(*now)
    k2 = slope(*(now + 0.05 * k1))
    k3 = slope(*(now + 0.05 * k2))
    k4 = slope(*(now + 0.1 * k3))
    expected = now + 0.1 / 6 * (k1 + 2 * k2 + 2 * k3 + k4)
    assert output.tolist() == pytest.approx(expected.tolist(), abs=1e-6)


def test_a_model_of_before_that_counts_from_its_first_row_is_refused():
    dataset, layout = packed_cart(), layout_of(cart_task())
    first = tuple(
        encoding.model_copy(update={"to": "first"}) if encoding.type == "relative" else encoding
        for encoding in layout.encodings
    )
    with pytest.raises(BadInput, match="train the model again"):
        make_step(Linear(), replace(layout, encodings=first), scale_of(dataset, layout))


class Cubed(Encoding):
    type: Literal["cubed"] = "cubed"

    def encode(self, values):
        return (values**3,)


def test_an_encoding_from_elsewhere_is_seen_scaled_and_kept_like_ours(monkeypatch):
    monkeypatch.setitem(ENCODINGS._loaded, "cubed", Cubed)
    task, dataset = cart_task(encoding={"channels": {"force": {"type": "cubed"}}}), packed_cart()
    layout = layout_of(task)  # features: cos, sin, place, force, speed
    remaining = json.loads(json.dumps(layout.to_json()))
    assert Layout.from_json(remaining).to_json() == layout.to_json()
    assert Layout.from_json(remaining).encodings == layout.encodings
    force = training_rows(dataset)[:, 3]
    scale = scale_of(dataset, layout)
    assert scale["feature_std"][3].item() == pytest.approx((force**3).std(), rel=1e-6)
    step = make_step(task.learn.model, layout, scale)
    (features,) = step.network_inputs(torch.tensor([[0.0, 0.0, 0.0, 2.0]]), None)
    expected = (8.0 - (force**3).mean()) / (force**3).std()
    assert features[0, 3].item() == pytest.approx(expected, rel=1e-5)


TASK = """\
task: cart
dt: 0.1
channels:
  place: {role: state, kind: coordinate, unit: m}
  force: {role: action, unit: N}
learn:
  type: dynamics
  model: {type: gru}
  encoding:
    scale: z_score
    channels:
      force: {type: cos_sin, period: 0.1}
"""
WRONG = [
    ("      force:", "      fource:", r"cart.yaml:12: .*did you mean 'force'\?"),
    ("period", "periodd", r"cart.yaml:12: .*periodd: unknown key; did you mean 'period'\?"),
    ("cos_sin", "cossin", r"cart.yaml:12: .*did you mean 'cos_sin'\?"),
    ("0.1}\n", "-0.1}\n", r"cart.yaml:12: .*greater than 0"),
    ("scale: z_score", "scale: zscore", r"cart.yaml:10: .*'z_score'"),
    ("scale: z_score", "scale: [1, 1]", r"cart.yaml:10: .*1.0 is not below the upper end 1.0"),
    ("{type: cos_sin, period: 0.1}", "{type: relative, to: last}", r":12: .*window: sliding"),
    ("{type: cos_sin, period: 0.1}", "{type: relative, to: first}", r":12: .*window: sliding"),
    ("  encoding:", "  window: slides\n  encoding:", r"cart.yaml:9: .*'sliding'"),
]


@pytest.mark.parametrize(("old", "new", "message"), WRONG)
def test_what_is_wrong_is_named_with_its_line(tmp_path, old, new, message):
    path = tmp_path / "cart.yaml"
    path.write_text(TASK)
    load_task(path)
    assert old in TASK
    path.write_text(TASK.replace(old, new, 1))
    with pytest.raises(TaskError, match=message):
        load_task(path)
