"""Networks of perception blocks, connected by name.

Symbols: B batch, E numbers and pixels of a row, D numbers of a frame, T frames, H history, F
features, O outputs.
"""

from collections.abc import Mapping, Sequence
from typing import Any

import torch
from torch import Tensor, nn

from kinemill.errors import BadInput
from kinemill.models.networks.layers import Network
from kinemill.registry import nearest
from kinemill.task.blocks import Block, ObservedPart, Signal
from kinemill.task.own_module import line_of

WHOLE = "observation"  # all numbers


class BlockGraph(nn.Module):
    """Parts of an observation by name -> (B, O): blocks, then one layer.

    Args:
        blocks: by name, each after those that it reads.
        signals: parts of the observation.
        outputs: O.

    Raises:
        BadInput: A block reads an unknown part or block, or fails on zeros.
    """

    def __init__(
        self, blocks: Mapping[str, Block], signals: Mapping[str, Signal], outputs: int
    ) -> None:
        super().__init__()
        readable = dict(signals)
        modules = dict[str, nn.Module]()
        self._reads = list[tuple[str, tuple[str, ...]]]()
        previous = ""
        for name, block in blocks.items():
            reads = tuple(block.of) or ((name,) if name in signals else (previous or WHOLE,))
            modules[name], readable[name] = _made(
                name, block, [_of(name, read, readable) for read in reads]
            )
            self._reads.append((name, reads))
            previous = name
        # A list, because torch refuses attribute names such as `forward` as keys of a ModuleDict.
        self.blocks = nn.ModuleList(modules.values())
        self.head = nn.Linear(readable[previous].size, outputs)

    def forward(self, parts: Mapping[str, Tensor]) -> Tensor:
        """Return the outputs: parts by name, each (B, ...), -> (B, O)."""
        values = dict(parts)
        for (name, reads), block in zip(self._reads, self.blocks, strict=True):
            values[name] = block(*(values[read] for read in reads))
        return self.head(values[self._reads[-1][0]].flatten(1))


def _of(name: str, read: str, readable: Mapping[str, Signal]) -> Signal:
    if read not in readable:
        fix = nearest(read, list(readable))
        raise BadInput(
            f"model composed: blocks.{name}.of: {read}", "is not a part or block", fix=fix
        )
    return readable[read]


def _made(name: str, block: Block, inputs: Sequence[Signal]) -> tuple[nn.Module, Signal]:
    """Return the module of a block, and the shape of its result.

    Raises:
        BadInput: It cannot read its inputs, or does not return one tensor (B, ...).
    """
    where = f"model composed: blocks.{name}"
    try:
        module: Any = block.build(inputs)
        # A run on zeros finds the shape of the result; a batch of 2 shows that axis 0 is the batch.
        with torch.no_grad():
            result = module.eval()(*(torch.zeros(2, *input_.shape) for input_ in inputs))
        module.train()
    except BadInput as error:
        raise BadInput(where, str(error)) from error
    except Exception as error:
        shapes = ", ".join(str((2, *input_.shape)) for input_ in inputs)
        raise BadInput(where, f"fails on zeros {shapes} ({line_of(error)})") from error
    if not isinstance(result, Tensor) or result.ndim < 2 or len(result) != 2:
        problem = f"returns {tuple(getattr(result, 'shape', ()))} for a batch of 2"
        raise BadInput(where, problem, expected="a tensor (B, ...)")
    return module, Signal(tuple(result.shape[1:]))


class RowComposed(Network):
    """Row (B, E) -> (B, O): all frames of the numbers, then the pixels of each image.

    Args:
        blocks: by name.
        parts: of the row.
        sizes: frames, and numbers of all frames.
        outputs: O.
    """

    def __init__(
        self,
        blocks: Mapping[str, Block],
        parts: Sequence[ObservedPart],
        sizes: tuple[int, int],
        outputs: int,
    ) -> None:
        super().__init__()
        self._parts, (self._frames, self._numbers) = tuple(parts), sizes
        signals = {part.name: self._signal(part) for part in parts}
        self.graph = BlockGraph(blocks, signals, outputs)

    def _signal(self, part: ObservedPart) -> Signal:
        if part.is_image:
            height, width, colors = part.shape
            return Signal((self._image_frames(part) * colors, height, width), is_image=True)
        shape = part.shape or (1,)
        if self._frames > 1:
            return Signal((self._frames, *shape), part.choices * self._frames)
        return Signal(shape, part.choices)

    def _image_frames(self, part: ObservedPart) -> int:
        height, width, colors = part.shape
        return (part.columns[1] - part.columns[0]) // (height * width * colors)

    def forward(self, row: Tensor) -> tuple[Tensor]:
        """Return the outputs: (B, E) -> (B, O)."""
        numbers = row[:, : self._numbers].unflatten(1, (self._frames, -1)) if self._numbers else row
        values = dict[str, Tensor]()
        for part in self._parts:
            columns = slice(*part.columns)
            if part.is_image:
                height, width, colors = part.shape
                shape = (-1, self._image_frames(part), height, width, colors)
                # Environments write (T, height, width, colors); convolutions read colors first.
                pixels = row[:, columns].reshape(shape).permute(0, 1, 4, 2, 3)
                values[part.name] = pixels.flatten(1, 2) / 255.0
            else:
                frames = numbers[..., columns] if self._frames > 1 else numbers[:, 0, columns]
                values[part.name] = frames.unflatten(-1, part.shape or (1,))
        return (self.graph(values),)


class WindowComposed(Network):
    """(B, F), window (B, H - 1, F) -> (B, O), window; blocks read `observation`, (H, F).

    Args:
        blocks: by name.
        inputs: F.
        outputs: O.
        history: H.
    """

    def __init__(
        self, blocks: Mapping[str, Block], inputs: int, outputs: int, history: int
    ) -> None:
        super().__init__()
        self.carry_shapes = ((history - 1, inputs),)
        self.graph = BlockGraph(blocks, {WHOLE: Signal((history, inputs))}, outputs)

    def warm_up(self, features: Tensor) -> tuple[Tensor]:
        """Return the window: features (B, H - 1, F), unchanged."""
        return (features,)

    def forward(self, features: Tensor, window: Tensor) -> tuple[Tensor, Tensor]:
        """Return the outputs (B, O) and the next window (B, H - 1, F)."""
        window = torch.cat([window, features.unsqueeze(1)], dim=1)
        return self.graph({WHOLE: window}), window[:, 1:]
