"""Optimize a program: fuse loops, and reuse memory of elements that are no longer read.

Before, every element has a unique index and is written once, as in static single assignment.
Afterwards several elements share an address, so the order of statements matters.
"""

from bisect import bisect_right
from collections.abc import Callable, Iterator
from dataclasses import replace

import numpy as np

from kinemill.export.c99.program import (
    Dense,
    Each,
    Ids,
    Lookup,
    Operand,
    Product,
    Program,
    Statement,
)

Span = tuple[int, int]  # first element, and the one after the last


def tidy(program: Program) -> None:
    """Fuse loops, then reuse memory; both change the program in place."""
    # In this order: fusion needs each element to be written once, which reuse ends.
    _join(program)
    _reuse(program)


def _reads(one: Statement) -> Iterator[Span]:
    """Yield the spans of elements that a statement reads; constants have negative ids."""
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
    elif isinstance(one, Lookup):
        yield one.index, one.index + 1
        if one.table >= 0:
            yield one.table, one.table + one.rows * one.count
    else:
        yield one.x, one.x + one.count


def _join(program: Program) -> None:
    """Compute a loop inside the only loop that reads it."""
    readers = np.zeros(program.elements, np.int64)
    for statement in program.statements:
        for first, stop in _reads(statement):
            readers[first:stop] += 1
    readers[program.outputs] += 2  # an output is read by the caller as well: never fuse it
    made = {
        statement.out: statement for statement in program.statements if isinstance(statement, Each)
    }
    remaining = list[Statement]()
    removed = set[int]()
    for statement in program.statements:
        joined = (
            _joined(statement, made, readers, removed) if isinstance(statement, Each) else statement
        )
        if isinstance(joined, Each):
            made[joined.out] = joined
        remaining.append(joined)
    program.statements[:] = [one for one in remaining if one.out not in removed]


def _joined(one: Each, made: dict[int, Each], readers: Ids, removed: set[int]) -> Each:
    """Return a loop with the producers of its operands inlined; add those to `removed`.

    A producer is inlined if it has as many elements, is read element by element, once, and by this
    loop alone. Otherwise it would be computed more than once.
    """
    operands = list(one.operands)
    form = one.form
    for index, item in enumerate(one.operands):
        producer = made.get(item.first)
        # A second occurrence in the form would compute the producer twice.
        if producer is None or producer.count != one.count or form.count(f"{{{index}}}") != 1:
            continue
        if one.count > 1 and item.step != 1:
            continue
        # Another reader needs the elements in memory.
        if not (readers[producer.out : producer.out + producer.count] == 1).all():
            continue
        start = len(operands)
        inner = producer.form.format(*(f"{{{start + i}}}" for i in range(len(producer.operands))))
        form = form.replace(f"{{{index}}}", f"({inner})")
        operands.extend(producer.operands)
        removed.add(producer.out)
    return _without_gaps(replace(one, form=form, operands=tuple(operands)))


def _without_gaps(one: Each) -> Each:
    """Drop operands that the form no longer names, and renumber the others."""
    named = [i for i in range(len(one.operands)) if f"{{{i}}}" in one.form]
    names = ["" for _ in one.operands]
    for new, old in enumerate(named):
        names[old] = f"{{{new}}}"
    return replace(
        one, form=one.form.format(*names), operands=tuple(one.operands[i] for i in named)
    )


def _reuse(program: Program) -> None:
    """Give later statements the memory of elements that no later statement reads."""
    starts = [first for first, _ in program.chunks]
    last: dict[int, int] = {}  # last statement that writes or reads each chunk
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

    program.statements[:] = [_moved(statement, moved) for statement in program.statements]
    program.outputs = np.array([moved(int(item)) for item in program.outputs], np.int64)


def _allocate(program: Program, starts: list[int], last: dict[int, int]) -> dict[int, int]:
    """Return the address of each chunk: the first gap that is large enough when it is written.

    Statements are visited in order, as in linear scan (Poletto and Sarkar 1999).
    """
    addresses = dict[int, int]()
    living = dict[int, Span]()
    end = program.inputs
    for time, one in enumerate(program.statements):
        chunk = bisect_right(starts, one.out) - 1
        if chunk in addresses:
            continue
        for old in [old for old in living if last[old] < time]:
            del living[old]
        size = program.chunks[chunk][1]
        address = program.inputs
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
    if isinstance(one, Lookup):
        table = one.table if one.table < 0 else moved(one.table)
        return replace(one, out=moved(one.out), index=moved(one.index), table=table)
    return replace(one, out=moved(one.out), x=moved(one.x))
