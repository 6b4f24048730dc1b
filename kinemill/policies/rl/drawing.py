"""Graphs of the networks of a training: the policy and its critics, traced on zeros."""

from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass
from typing import Any

import torch
from torch import Tensor, nn
from torch.fx import GraphModule, Node
from torch.fx.experimental.proxy_tensor import make_fx

from kinemill.reports.network_graph import Block, Operation, blocks_of_operations
from kinemill.runtime.policy_interface import PolicyInterface
from kinemill.train.policy import PolicyModule

CRITIC = "critic.json"  # in the folder of the weights
_BATCH = 2
_WEIGHTED = ("addmm", "mm", "bmm", "baddbmm", "convolution", "mkldnn_rnn_layer")
_FUNCTIONS = ("tanh", "sigmoid", "relu", "_softmax", "silu", "gelu", "elu", "leaky_relu", "argmax")


@dataclass(frozen=True)
class Call:
    """A call of a network.

    Attributes:
        function: maps tensors (B, ...) to one tensor or several.
        inputs: example of each input by name, (B, ...).
        output: name of the result.
    """

    function: Callable[..., object]
    inputs: Mapping[str, Tensor]
    output: str


def policy_call(module: PolicyModule, interface: PolicyInterface) -> Call:
    """Return the call of a policy."""
    inputs = {
        name: torch.zeros(_BATCH, *shape, dtype=getattr(torch, kind))
        for name, (shape, kind) in interface.shapes().items()
    }
    inputs |= {item.name: torch.zeros(_BATCH, *item.shape) for item in interface.carry}
    return Call(lambda *tensors: module(*tensors)[0], inputs, "action")


def critic_call(policy: Any) -> Call | None:
    """Return the call of the critics of a policy of stable-baselines3; None without critics."""
    row = torch.zeros(_BATCH, *policy.observation_space.shape)
    if getattr(policy, "lstm_critic", None) is not None:
        layers, _, size = policy.lstm_hidden_state_shape
        state = torch.zeros(layers, _BATCH, size)
        return Call(lambda x: _recurrent_value(policy, x, state), {"observation": row}, "value")
    if hasattr(policy, "predict_values"):
        return Call(policy.predict_values, {"observation": row}, "value")
    if (critic := getattr(policy, "critic", None)) is not None:
        action = torch.zeros(_BATCH, *policy.action_space.shape)
        return Call(critic, {"observation": row, "action": action}, "value")
    return None


def _recurrent_value(policy: Any, row: Tensor, state: Tensor) -> Tensor:
    """Return the value of a first step. The library's function branches on values: no tracing."""
    features, _ = policy.lstm_critic(row.unsqueeze(0), (state, state))
    return policy.value_net(policy.mlp_extractor.forward_critic(features.squeeze(0)))


@torch.no_grad()
def blocks_of(call: Call) -> list[Block]:
    """Return the graph of a network: inputs, learned matrices and outputs, with connections."""
    traced: Any = make_fx(_free(call.function))(*call.inputs.values())
    names = iter(call.inputs)
    weights = dict[str, tuple[int, ...]]()
    renamed = dict[str, str]()
    operations = list[Operation]()
    results = list[str]()
    for node in traced.graph.nodes:
        inputs = [str(renamed.get(source.name, source.name)) for source in node.all_input_nodes]
        if node.op == "placeholder":
            renamed[node.name] = next(names)
        elif node.op == "get_attr":
            weights |= _weight(traced, node)
        elif node.op == "output":
            results = inputs
        elif inputs and all(name in weights for name in inputs):
            weights[node.name] = weights[inputs[0]]  # function of weights alone, such as transpose
        else:
            operations.append(_operation(node, inputs, weights))
    shapes = {name: _shape(value) for name, value in call.inputs.items()}
    numbers = [f" {k + 1}" for k in range(len(results))] if len(results) > 1 else [""]
    outputs = {f"{call.output}{n}": result for n, result in zip(numbers, results, strict=True)}
    operations += [Operation([result], [name]) for name, result in outputs.items()]
    return blocks_of_operations(shapes, operations, dict.fromkeys(outputs, "batch"))


def _weight(traced: GraphModule, node: Node) -> dict[str, tuple[int, ...]]:
    value = getattr(traced, str(node.target))
    is_matrix = isinstance(value, nn.Parameter) and value.ndim > 1
    return {node.name: tuple(value.shape)} if is_matrix else {}


def _operation(
    node: Node, inputs: Iterable[str], weights: Mapping[str, tuple[int, ...]]
) -> Operation:
    kind = str(node.target).removeprefix("aten.").split(".")[0]
    shapes = [weights[name] for name in inputs if name in weights]
    matrix = shapes[0] if shapes and kind in _WEIGHTED else ()
    function = kind.strip("_") if kind in _FUNCTIONS else ""
    return Operation(list(inputs), [node.name], matrix, function)


def _shape(value: Tensor) -> str:
    return " x ".join(["batch", *map(str, value.shape[1:])])


def _free(function: Callable[..., object]) -> Callable[..., object]:
    """Return an unbound function: `make_fx` counts `self` of a bound method as a tensor."""

    def call(*tensors: Tensor) -> object:
        return function(*tensors)

    return call
