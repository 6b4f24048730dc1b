"""`step.onnx`: one time step of a model with an explicit carry.

Symbols: B batch, S states, A actions, Y channels that are predicted but not fed back.
"""

from collections.abc import Mapping
from pathlib import Path
from typing import Any

from numpy.typing import ArrayLike

from kinemill.errors import BadInput
from kinemill.runtime.input_checks import Array, Axis, same_batch
from kinemill.runtime.inputs import Inputs
from kinemill.runtime.session import Execution, open_with


class Step:
    """A step in ONNX Runtime.

    Args:
        session: session of `step.onnx`.
        inputs: reader of the inputs.
    """

    def __init__(self, session: Any, inputs: Inputs) -> None:
        self._session = session
        self._carry = inputs.interface.carry
        self._inputs = inputs
        self._next = ["next_state", *(f"next_{item.name}" for item in self._carry)]
        self._axes = [
            tuple(Axis(f"axis {index + 1}", size) for index, size in enumerate(item.shape))
            for item in self._carry
        ]

    def __call__(self, state: ArrayLike, action: ArrayLike, *carry: ArrayLike) -> tuple[Array, ...]:
        """Return the next state (B, S) after state (B, S) and action (B, A), then the next carry.

        Raises:
            BadInput: An input has an invalid shape, type or value.
        """
        return tuple(self._run(self._next, state, action, carry))

    def outputs(self, state: ArrayLike, action: ArrayLike, *carry: ArrayLike) -> Array:
        """Return the outputs (B, Y) at state (B, S) and action (B, A); arguments as in a call.

        Raises:
            BadInput: An input has an invalid shape, type or value.
        """
        return self._run(["outputs"], state, action, carry)[0]

    def _run(
        self, names: list[str], state: ArrayLike, action: ArrayLike, carry: tuple[ArrayLike, ...]
    ) -> list[Array]:
        """Return tensors of the file by name."""
        if len(carry) != len(self._carry):
            expected = ", ".join(item.name for item in self._carry) or "none"
            raise BadInput("carry", f"{len(carry)} given", expected=expected, fix="see warm_up")
        states, actions = self._inputs.now(state, action)
        feed = {"state": states, "action": actions}
        for item, axes, value in zip(self._carry, self._axes, carry, strict=True):
            feed[item.name] = self._inputs.check_part(item.name, value, *axes)
        same_batch(**feed)
        return self._session.run(names, feed)


def open_step(
    where: Path, model: bytes, execution: Execution, inputs: Inputs, properties: Mapping[str, str]
) -> Step:
    """Open step.onnx, and check that it belongs to the rollout.onnx of its folder.

    Args:
        where: source of the file, for messages.
        model: bytes of the file.
        execution: threads and provider of ONNX Runtime.
        inputs: reader of the inputs.
        properties: metadata of the rollout, which both files share.

    Raises:
        BadInput: The file is not a step.onnx, or of another model.
    """
    names = ["state", "action", *(item.name for item in inputs.interface.carry)]
    session = open_with(where, model, execution, names, f"{names}")
    if session.get_modelmeta().custom_metadata_map != properties:
        raise BadInput(
            where,
            "is of another model than the rollout.onnx of its folder",
            expected="two files of one export",
            fix="export the model again",
        )
    return Step(session, inputs)
