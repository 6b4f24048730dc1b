"""A program made smaller: loops joined where one feeds another alone, memory used again.

Before this every element has a index of its own and is written once, so nothing here depends on
the order in which loops were found; afterwards the order counts.
"""

from bisect import bisect_right
from collections.abc import Callable, Iterator
from dataclasses import replace

import numpy as np

from kinemill.export.c99.program import Dense, Each, Ids, Operand, Product, Program, Statement

Span = tuple[int, int]  # first element, and the one after the last


def tidy(program: Program) -> None:
    """Join loops and use memory again, in index."""
    _join(program)
    _reuse(program)


def _reads(one: Statement) -> Iterator[Span]:
    if isinstance(one, Each):
        for item in one.operands:
            if item.first >= 0:
                last = item.first + item.step * (one.count - 1)
                yield min(item.first, last), max(item.first, last) + 1
    elif isinstance(one, Dense):
        yield one.x, one.x + one.weight.shape[0]
    elif isinstance(one, Product):
        yield one.x, one.x + one.rows * one.inner
        yield one.y, one.y + one.inner * one.columns
    else:
        yield one.x, one.x + one.count


def _join(program: Program) -> None:
    """Work a loop out inside the only one that reads it."""
    readers = np.zeros(program.elements, np.int64)
    for one in program.statements:
        for first, stop in _reads(one):
            readers[first:stop] += 1
    readers[program.outputs] += 2  # never only one
    made = {one.out: one for one in program.statements if isinstance(one, Each)}
    remaining, removed = list[Statement](), set[int]()
    for one in program.statements:
        joined = _joined(one, made, readers, removed) if isinstance(one, Each) else one
        if isinstance(joined, Each):
            made[joined.out] = joined
        remaining.append(joined)
    program.statements[:] = [one for one in remaining if one.out not in removed]


def _joined(one: Each, made: dict[int, Each], readers: Ids, removed: set[int]) -> Each:
    operands, form = list(one.operands), one.form
    for index, item in enumerate(one.operands):
        producer = made.get(item.first)
        if producer is None or producer.count != one.count or form.count(f"{{{index}}}") != 1:
            continue
        if one.count > 1 and item.step != 1:
            continue
        if not (readers[producer.out : producer.out + producer.count] == 1).all():
            continue
        start = len(operands)
        inner = producer.form.format(*(f"{{{start + i}}}" for i in range(len(producer.operands))))
        form = form.replace(f"{{{index}}}", f"({inner})")
        operands.extend(producer.operands)
        removed.add(producer.out)
    return _without_gaps(replace(one, form=form, operands=tuple(operands)))


def _without_gaps(one: Each) -> Each:
    """Leave out operands that the form no longer names."""
    named = [i for i in range(len(one.operands)) if f"{{{i}}}" in one.form]
    names = ["" for _ in one.operands]
    for new, old in enumerate(named):
        names[old] = f"{{{new}}}"
    return replace(
        one, form=one.form.format(*names), operands=tuple(one.operands[i] for i in named)
    )


def _reuse(program: Program) -> None:
    """Give a index that nobody reads any more to what comes later."""
    starts = [first for first, _ in program.chunks]
    last: dict[int, int] = {}
    for time, one in enumerate(program.statements):
        for first, _ in [(one.out, 0), *_reads(one)]:
            if first >= program.inputs:
                last[bisect_right(starts, first) - 1] = time
    for first in program.outputs[program.outputs >= program.inputs].tolist():
        last[bisect_right(starts, first) - 1] = len(program.statements)
    addresses = _allocate(program, starts, last)

    def moved(first: int) -> int:
        if first < program.inputs:
            return first
        chunk = bisect_right(starts, first) - 1
        return addresses[chunk] + first - starts[chunk]

    program.statements[:] = [_moved(one, moved) for one in program.statements]
    program.outputs = np.array([moved(int(item)) for item in program.outputs], np.int64)


def _allocate(program: Program, starts: list[int], last: dict[int, int]) -> dict[int, int]:
    """Return where each chunk goes: the first gap that holds it when it is first written."""
    addresses, living, end = dict[int, int](), dict[int, Span](), program.inputs
    for time, one in enumerate(program.statements):
        chunk = bisect_right(starts, one.out) - 1
        if chunk in addresses:
            continue
        for old in [old for old in living if last[old] < time]:
            del living[old]
        size, address = program.chunks[chunk][1], program.inputs
        for first, stop in sorted(living.values()):
            if address + size <= first:
                break
            address = max(address, stop)
        addresses[chunk], living[chunk] = address, (address, address + size)
        end = max(end, address + size)
    program.elements = end
    return addresses


def _moved(one: Statement, moved: Callable[[int], int]) -> Statement:
    if isinstance(one, Each):
        operands = tuple(Operand(moved(item.first), item.step) for item in one.operands)
        return replace(one, out=moved(one.out), operands=operands)
    if isinstance(one, Product):
        return replace(one, out=moved(one.out), x=moved(one.x), y=moved(one.y))
    return replace(one, out=moved(one.out), x=moved(one.x))
