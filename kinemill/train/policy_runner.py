"""Run a policy in torch with the memory, seeds and checks of an exported one.

It evaluates a policy during training: `try_policy(task, as_policy(module), seeds)`.
"""

import torch
from torch import Tensor, nn

from kinemill.errors import BadInput
from kinemill.runtime import Carry, Policy, PolicyInterface
from kinemill.runtime.input_checks import Array
from kinemill.runtime.observations import Inputs
from kinemill.train.policy import PolicyModule


class Bare(nn.Module):
    """A policy whose carry has no tensors of size 0, which ONNX files cannot hold.

    A policy without memory carries an empty history; this module adds it inside.

    Args:
        module: the policy.
    """

    def __init__(self, module: PolicyModule) -> None:
        super().__init__()
        self.module = module
        self.layout = module.layout
        self.carry_shapes = tuple(tuple(shape) for shape in module.carry_shapes if 0 not in shape)

    def forward(self, *tensors: Tensor) -> tuple[Tensor, ...]:
        """Return the action (B, A) in task units, and the carry without its empty parts."""
        inputs = len(self.layout.inputs)
        shapes = [tuple(shape) for shape in self.module.carry_shapes]
        carry = iter(tensors[inputs:])
        batch = tensors[0].shape[0]
        device = tensors[0].device
        whole = [
            torch.zeros(batch, *shape, device=device) if 0 in shape else next(carry)
            for shape in shapes
        ]
        action, *after = self.module(*tensors[:inputs], *whole)
        non_empty = [part for part, shape in zip(after, shapes, strict=True) if 0 not in shape]
        return action, *non_empty


def interface_of(
    module: PolicyModule, task: str = "", dataset: str = "", versions: dict[str, str] | None = None
) -> PolicyInterface:
    """Return the interface of an exported policy.

    Raises:
        BadInput: The initial carry is not zero, as the runtime requires.
    """
    if any(bool(part.any()) for part in module.initial_carry(1)):
        raise BadInput("initial carry", "is not zero", expected="a carry that starts as zeros")
    carry = [Carry(f"carry_{k}", shape) for k, shape in enumerate(Bare(module).carry_shapes)]
    return PolicyInterface(task, module.layout, tuple(carry), dataset, dict(versions or {}))


class TorchRunning:
    """Run a module in evaluation mode without gradients, with the interface of the runtime.

    Args:
        module: the policy, on any device; a call restores its mode.
    """

    def __init__(self, module: PolicyModule) -> None:
        self._bare = Bare(module)
        self._inputs = module.layout.inputs

    def __call__(self, feed: Inputs) -> list[Array]:
        """Return the action (B, A) in task units, then each part of the next carry (B, ...)."""
        module = self._bare.module
        device = next(module.parameters()).device
        training = module.training
        names = [*self._inputs, *(name for name in feed if name.startswith("carry_"))]
        module.eval()
        with torch.no_grad():
            outputs = self._bare(*(torch.from_numpy(feed[name]).to(device) for name in names))
        module.train(training)
        return [part.cpu().numpy() for part in outputs]


def as_policy(module: PolicyModule, task: str = "", *, finite: bool = True) -> Policy:
    """Return a policy that runs in torch, with the memory, seeds and checks of an exported one.

    Args:
        module: the policy; changes of its weights take effect immediately.
        task: name of the task, for messages.
        finite: whether to reject NaN and infinity in observations.

    Raises:
        BadInput: The initial carry of the module is not zero.
    """
    return Policy(interface_of(module, task), TorchRunning(module), finite=finite)
