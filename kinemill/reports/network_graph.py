"""Graph of a network as inline SVG: inputs, matrices, outputs."""

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from html import escape

WIDE = 128
TALL = 40
GAP_X = 52
GAP_Y = 14  # px of a box, between columns, between rows


@dataclass(frozen=True)
class Block:
    """A box of the graph.

    Attributes:
        name: unique name.
        title: large text.
        below: small text.
        after: names of the boxes of its inputs.
    """

    name: str
    title: str
    below: str = ""
    after: tuple[str, ...] = ()


@dataclass(frozen=True)
class Operation:
    """An operation of a network.

    Attributes:
        outputs: names of its results.
        matrix: shape of its learned matrix; empty without one.
        function: name of a displayed function, such as `tanh`.
    """

    inputs: Sequence[str]
    outputs: Sequence[str]
    matrix: tuple[int, ...] = ()
    function: str = ""


def blocks_of_operations(
    inputs: Mapping[str, str], operations: Iterable[Operation], outputs: Mapping[str, str]
) -> list[Block]:
    """Return inputs, learned matrices and outputs of a network, with their connections.

    Functions between two boxes are listed at the later one.

    Args:
        inputs: shape of each input by name.
        operations: operations in the order of computation.
        outputs: shape of each output by name.
    """
    blocks = [Block(name, name, shape) for name, shape in inputs.items()]
    sources = {name: {name: None} for name in inputs}  # boxes of each value, in order
    functions = {name: dict[str, None]() for name in inputs}
    for operation in operations:
        origins = _joined(sources, operation.inputs)
        passed = _joined(functions, operation.inputs)
        if operation.matrix and origins:
            output = operation.outputs[0]
            title = " x ".join(map(str, operation.matrix))
            below = ", ".join(passed)
            blocks.append(Block(output, title, below, _nearest(blocks, origins)))
            origins = {output: None}
            passed = {}
        elif operation.function:
            passed = {**passed, operation.function: None}
        for name in operation.outputs:
            sources[name], functions[name] = origins, passed
    for name, shape in outputs.items():
        text = ", ".join([*functions.get(name, {}), shape])
        nearest = _nearest(blocks, sources.get(name, {}))
        blocks.append(Block(f"out {name}", name, text, nearest))
    return blocks


def _nearest(blocks: list[Block], candidates: dict[str, None]) -> tuple[str, ...]:
    """Return the boxes that are not already inputs of another of them."""
    above: dict[str, set[str]] = {}
    for block in blocks:
        above[block.name] = {
            *block.after,
            *(ancestor for name in block.after for ancestor in above[name]),
        }
    through = {ancestor for name in candidates for ancestor in above[name]}
    return tuple(name for name in candidates if name not in through)


def _joined(of: dict[str, dict[str, None]], names: Iterable[str]) -> dict[str, None]:
    return {item: None for name in names for item in of.get(name, {})}


_COLORS = "--card:#fff;--ink:#222;--soft:#666;--line:#999;--model:#2563eb;background:#fff"


def drawing(blocks: Sequence[Block]) -> str:
    """Draw boxes as a separate SVG file with its own colors."""
    return network(
        blocks, f'xmlns="http://www.w3.org/2000/svg" font-family="sans-serif" style="{_COLORS}"'
    )


def network(blocks: Sequence[Block], attributes: str = "") -> str:
    """Draw boxes from left to right, each after its inputs."""
    depth: dict[str, int] = {}
    for block in blocks:
        depth[block.name] = 1 + max((depth[name] for name in block.after), default=-1)
    columns: dict[int, list[Block]] = {}
    for block in blocks:
        columns.setdefault(depth[block.name], []).append(block)
    rows = max(map(len, columns.values()), default=0)
    width = len(columns) * (WIDE + GAP_X) - GAP_X
    height = rows * (TALL + GAP_Y) - GAP_Y
    positions = {
        block.name: (
            column * (WIDE + GAP_X),
            (height - len(members) * (TALL + GAP_Y) + GAP_Y) / 2 + row * (TALL + GAP_Y),
        )
        for column, members in columns.items()
        for row, block in enumerate(members)
    }
    lines = [_line(positions, name, block.name) for block in blocks for name in block.after]
    boxes = [_box(block, *positions[block.name]) for block in blocks]
    attributes = attributes or f'style="display:block;width:100%;max-width:{width}px"'
    return (
        f'<svg class="network" viewBox="-1 -1 {width + 2} {height + 2:g}" role="img" {attributes} '
        f'aria-label="graph of the network">{"".join(lines + boxes)}</svg>'
    )


def _line(positions: Mapping[str, tuple[float, float]], source: str, target: str) -> str:
    (x, y), (right, low) = positions[source], positions[target]
    start = x + WIDE
    end = right
    y = y + TALL / 2
    low = low + TALL / 2
    bend = (end - start) / 2
    return (
        f'<path d="M{start:g} {y:g} C{start + bend:g} {y:g} {end - bend:g} {low:g} {end:g} {low:g}"'
        ' fill="none" stroke="var(--line)" stroke-width="1.5"/>'
    )


def _box(block: Block, x: float, y: float) -> str:
    middle = x + WIDE / 2
    title = f'<text x="{middle:g}" y="{y + (17 if block.below else 24):g}" {_TEXT}>'
    below = f'<text x="{middle:g}" y="{y + 32:g}" {_SMALL}>{escape(block.below)}</text>'
    return (
        f'<rect x="{x:g}" y="{y:g}" width="{WIDE}" height="{TALL}" rx="6" fill="var(--card)" '
        'stroke="var(--model)"/>'
        f"{title}{escape(block.title)}</text>{below if block.below else ''}"
    )


_TEXT = 'text-anchor="middle" font-size="12" fill="var(--ink)"'
_SMALL = 'text-anchor="middle" font-size="10" fill="var(--soft)"'
