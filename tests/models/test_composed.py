"""Networks of perception blocks: what each block computes, and how blocks are connected."""

import pytest
import torch
import yaml

from kinemill.errors import BadInput
from kinemill.models.networks.composed import BlockGraph
from kinemill.task import load_task
from kinemill.task.blocks import BLOCKS, ObservedPart, Signal
from kinemill.task.plugins import MODELS


def make(kind, *inputs, **settings):
    torch.manual_seed(0)
    return BLOCKS[kind].model_validate({"type": kind, **settings}).build(inputs).eval()


@pytest.mark.parametrize(("cell", "reference"), [("gru", torch.nn.GRU), ("lstm", torch.nn.LSTM)])
def test_a_recurrent_block_is_the_cell_of_torch(cell, reference):
    block, torch_cell = make("recurrent", Signal((5, 3)), cell=cell, size=4), reference(3, 4)
    torch_cell.weight_ih_l0.data, torch_cell.bias_ih_l0.data = block.input.weight, block.input.bias
    torch_cell.weight_hh_l0.data, torch_cell.bias_hh_l0.data = (
        block.recurrent.weight,
        block.recurrent.bias,
    )
    rows = torch.randn(2, 5, 3)
    expected, _ = torch_cell(rows.transpose(0, 1))
    torch.testing.assert_close(block(rows), expected[-1])


@pytest.mark.parametrize("pool", ["mean", "max"])
def test_attention_ignores_order_and_padding(pool):
    block = make("attention", Signal((4, 3)), Signal((4,)), size=8, heads=2, layers=2, pool=pool)
    elements, present = torch.randn(2, 4, 3), torch.tensor([[1.0, 1, 1, 0], [1, 1, 1, 1]])
    result = block(elements, present)
    order = [2, 0, 3, 1]
    torch.testing.assert_close(block(elements[:, order], present[:, order]), result)
    changed = elements.clone()
    changed[0, 3] = 100.0
    torch.testing.assert_close(block(changed, present)[0], result[0])
    assert not torch.allclose(block(changed, present.clamp(min=1))[0], result[0])
    assert torch.isfinite(block(elements, torch.zeros(2, 4))).all() or pool == "max"


def test_an_embedding_is_a_row_of_its_table():
    one_hot = make("embedding", Signal((5,), choices=(3, 2)), size=4)
    vectors = one_hot(torch.tensor([[0.0, 0, 1, 1, 0]]))
    assert vectors.shape == (1, 2, 4)
    torch.testing.assert_close(vectors[0, 0], one_hot.tables["3"].weight[:, 2])
    torch.testing.assert_close(vectors[0, 1], one_hot.tables["2"].weight[:, 0])
    numbers = make("embedding", Signal((2,)), size=4, values=3)
    torch.testing.assert_close(
        numbers(torch.tensor([[2.0, 1.0]]))[0], numbers.tables["3"].weight[:, [2, 1]].T
    )


def test_dense_maps_elements_alike_and_joins_several_inputs():
    block = make("dense", Signal((4, 3)), sizes=[6])
    rows = torch.randn(2, 4, 3)
    torch.testing.assert_close(block(rows)[:, 1], block(rows[:, 1:2])[:, 0])
    assert make("dense", Signal((4, 3)), Signal((2,)), sizes=[6])(
        torch.zeros(2, 4, 3), torch.zeros(2, 2)
    ).shape == (2, 6)


def test_blocks_read_their_own_part_else_the_block_before():
    settings = {
        "type": "composed",
        "blocks": {"arm": {"type": "dense", "sizes": [4]}, "more": {"type": "dense", "sizes": [5]}},
    }
    parts = [
        ObservedPart("observation", (0, 4), (4,)),
        ObservedPart("arm", (1, 4), (3,)),
        ObservedPart("camera", (8, 8 + 2 * 64 * 3), (8, 8, 3), is_image=True),
    ]
    network = MODELS["composed"].model_validate(settings).build_of(parts, 2, 8, 3).eval()
    row = torch.randn(2, 8 + 384)
    changed = row.clone()
    changed[:, [0, 4]] = 9.0  # the number before the arm, in both frames
    changed[:, 8:] = 9.0
    torch.testing.assert_close(network(row)[0], network(changed)[0])
    changed[:, 5] = 9.0
    assert not torch.allclose(network(row)[0], network(changed)[0])
    with_camera = settings | {"blocks": {"camera": {"type": "conv"}}}
    network = MODELS["composed"].model_validate(with_camera).build_of(parts, 2, 8, 3).eval()
    assert network(row)[0].shape == (2, 3)
    assert network.graph.blocks[0].encoder.layers[0].in_channels == 6


@pytest.mark.parametrize(
    ("blocks", "message"),
    [
        ({"x": {"type": "dense", "of": ["armm"]}}, "x.of: armm: is not a part or block.*'arm'"),
        ({"x": {"type": "recurrent", "of": ["arm"]}}, "x: block recurrent.*frame_stack"),
        ({"x": {"type": "embedding", "of": ["arm"]}}, "set `values`"),
        ({"x": {"type": "conv", "of": ["arm"]}}, "expected one image"),
        ({"x": {"type": "attention", "of": ["arm"]}}, "a set"),
    ],
)
def test_what_a_block_cannot_read_is_an_error(blocks, message):
    settings = {name: BLOCKS[one["type"]].model_validate(one) for name, one in blocks.items()}
    with pytest.raises(BadInput, match=message):
        BlockGraph(settings, {"arm": Signal((3,))}, 2)


def test_a_block_of_own_code_gets_the_shapes_of_its_inputs(tmp_path):
    (tmp_path / "pool.py").write_text(
        "from torch import nn\n"
        "class Pool(nn.Module):\n"
        "    def __init__(self, shapes, power: int = 1):\n"
        "        super().__init__()\n"
        "        self.shapes, self.power = shapes, power\n"
        "    def forward(self, elements):\n"
        "        return (elements**self.power).sum(dim=1)\n"
    )
    blocks = {"total": {"type": "pool.py:Pool", "of": ["objects"], "power": 2}}
    learn = {"type": "reinforcement", "model": {"type": "composed", "blocks": blocks}}
    task = {"task": "field", "dt": 1.0, "environment": "CartPole-v1", "learn": learn}
    (tmp_path / "field.yaml").write_text(yaml.safe_dump(task))
    network = load_task(tmp_path / "field.yaml").learn.model.build_of(
        [ObservedPart("objects", (0, 6), (2, 3))], 1, 6, 4
    )
    (block,) = network.graph.blocks
    assert block.shapes == [(2, 3)]
    torch.testing.assert_close(block(torch.full((1, 2, 3), 2.0)), torch.full((1, 3), 8.0))
    assert network(torch.zeros(5, 6))[0].shape == (5, 4)
