"""Graph of a network as inline SVG: inputs, matrices, outputs."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from html import escape

WIDE, TALL, GAP_X, GAP_Y = 128, 40, 52, 14  # px of a box, between columns, between rows


@dataclass(frozen=True)
class Block:
    """A box.

    Attributes:
        name: of it, unique.
        title: what is written large.
        below: what is written small.
        after: names of the boxes whose values it takes.
    """

    name: str
    title: str
    below: str = ""
    after: tuple[str, ...] = ()


def network(blocks: Sequence[Block]) -> str:
    """Draw boxes from left to right, each behind all that it takes from.

    Args:
        blocks: in an order in which each comes after those that it takes from.
    """
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
    return (
        f'<svg class="network" viewBox="-1 -1 {width + 2} {height + 2:g}" role="img" '
        f'style="display:block;width:100%;max-width:{width}px" '
        f'aria-label="graph of the network">{"".join(lines + boxes)}</svg>'
    )


def _line(positions: Mapping[str, tuple[float, float]], source: str, target: str) -> str:
    (x, y), (right, low) = positions[source], positions[target]
    start, end = x + WIDE, right
    y, low, bend = y + TALL / 2, low + TALL / 2, (end - start) / 2
    return (
        f'<path d="M{start:g} {y:g} C{start + bend:g} {y:g} {end - bend:g} {low:g} {end:g} {low:g}"'
        ' fill="none" stroke="var(--line)" stroke-width="1.5"/>'
    )


def _box(block: Block, x: float, y: float) -> str:
    middle = x + WIDE / 2
    title = f'<text x="{middle:g}" y="{y + (17 if block.below else 24):g}" {_TEXT}>'
    below = f'<text x="{middle:g}" y="{y + 32:g}" {_SMALL}>{escape(block.below)}</text>'
    return (
        f'<rect x="{x:g}" y="{y:g}" width="{WIDE}" height="{TALL}" rx="6" fill="none" '
        'stroke="var(--model)"/>'
        f"{title}{escape(block.title)}</text>{below if block.below else ''}"
    )


_TEXT = 'text-anchor="middle" font-size="12" fill="var(--ink)"'
_SMALL = 'text-anchor="middle" font-size="10" fill="var(--soft)"'
