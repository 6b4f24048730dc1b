"""User-defined networks: their contract, and errors of an export."""

import pytest
import torch

from kinemill.errors import BadInput
from kinemill.models._own import OwnModel
from kinemill.task.own_code import make_own

HEAD = """import torch
from torch import nn


class Net(nn.Module):
    def __init__(self, inputs, outputs, history=1):
        super().__init__()
        self.layer = nn.Linear(inputs * history, outputs)

    def forward(self, rows):
"""
CARRIED = """import torch
from torch import nn


class Net(nn.Module):
    def __init__(self, inputs, outputs):
        super().__init__()
        self.carry_shapes = ((5,),)
        self.cell = nn.GRUCell(inputs, 5)
        self.head = nn.Linear(5, outputs)

    def warm_up(self, rows):
        hidden = rows.new_zeros(len(rows), 5)
        for row in rows.unbind(1):
            hidden = self.cell(row, hidden)
        return (hidden,)

    def forward(self, row, hidden):
        hidden = self.cell(row, hidden)
        return self.head(hidden), hidden
"""


def network(body: str, history: int = 3):
    source = HEAD + "".join(f"        {line}\n" for line in body.splitlines())
    model = make_own(OwnModel, {"type": "my_net.py:Net", "source": source}, None)
    return model.build(4, 2, history)


@pytest.mark.parametrize("history", [1, 3])
def test_the_module_sees_the_last_rows(history):
    """A step after the warm-up equals the module on the whole window."""
    net = network("return self.layer(rows.flatten(1))", history)
    rows = torch.randn(5, history, 4)
    outputs, window = net(rows[:, -1], *net.warm_up(rows[:, :-1]))
    torch.testing.assert_close(outputs, net.module(rows))
    torch.testing.assert_close(window, rows[:, 1:].flatten(1))
    net.check_export()


def test_a_module_may_carry_what_it_remembers():
    model = make_own(OwnModel, {"type": "my_net.py:Net", "source": CARRIED}, None)
    net = model.build(4, 2, 3)
    assert net.carry_shapes == ((5,),)
    rows = torch.randn(2, 3, 4)
    (hidden,) = net.warm_up(rows[:, :-1])
    outputs, after = net(rows[:, -1], hidden)
    assert (outputs.shape, after.shape) == ((2, 2), (2, 5))
    torch.testing.assert_close(after, net.warm_up(rows)[0])
    net.check_export()


@pytest.mark.parametrize(
    ("body", "message"),
    [
        ("return self.layer(rows)", r"my_net.py:\d+: RuntimeError.*\(B, 3, 4\) -> \(B, 2\)"),
        ("return self.layer(rows.flatten(1)).sum()", r"returns \(\) for a batch of 3"),
        ("return self.layer(rows.flatten(1))[:2]", r"returns \(2, 2\) for a batch of 3"),
        ("return 1.0", "returns float"),
        ("return self.layer(rows.flatten(1)).detach()", "without a gradient"),
        ("import numpy as np\nreturn torch.from_numpy(np.zeros((3, 2)))", "without a gradient"),
    ],
)
def test_a_module_of_another_contract_is_refused(body, message):
    with pytest.raises(BadInput, match=f"my_net.py:Net.*{message}"):
        network(body)


@pytest.mark.parametrize(
    ("body", "messages"),
    [
        (
            "return self.layer(rows.flatten(1)) + torch.linalg.svdvals(rows)[:, :2]",
            ["operator aten._linalg_svd has no form there", "docs/own-code.md#operators"],
        ),
        (
            "if rows.sum() > 0:\n    return self.layer(rows.flatten(1))\n"
            "return -self.layer(rows.flatten(1))",
            ["control flow depends on values", "my_net.py:11", "torch.where"],
        ),
    ],
)
def test_what_cannot_be_exported_is_named(body, messages):
    with pytest.raises(BadInput) as error:
        network(body).check_export()
    assert str(error.value).startswith("model my_net.py:Net: cannot be exported to ONNX")
    for message in messages:
        assert message in str(error.value)


def test_code_that_cannot_be_made_is_refused():
    source = "class Net:\n    def __init__(self, inputs, outputs):\n        pass\n"
    with pytest.raises(BadInput, match=r"my_net.py:Net: is a Net; expected a torch.nn.Module"):
        make_own(OwnModel, {"type": "my_net.py:Net", "source": source}, None).build(1, 1, 1)
    source = "def Net(inputs, outputs):\n    raise ValueError('no')\n"
    with pytest.raises(BadInput, match=r"cannot be made \(my_net.py:2: ValueError: no\)"):
        make_own(OwnModel, {"type": "my_net.py:Net", "source": source}, None).build(1, 1, 1)
