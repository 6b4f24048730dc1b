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


def _reads(statement: Statement) -> Iterator[Span]:
    """Yield the spans of elements that a statement reads; constants have negative ids."""
    if isinstance(statement, Each):
        for item in statement.operands:
            if item.first >= 0:
                last = item.first + item.step * (statement.count - 1)
                yield min(item.first, last), max(item.first, last) + 1
    elif isinstance(statement, Dense):
        yield statement.x, statement.x + statement.weight.shape[0]
    elif isinstance(statement, Product):
        yield statement.x, statement.x + statement.rows * statement.inner
        yield statement.y, statement.y + statement.inner * statement.columns
    elif isinstance(statement, Lookup):
        yield statement.index, statement.index + 1
        if statement.table >= 0:
            yield statement.table, statement.table + statement.rows * statement.count
    else:
        yield statement.x, statement.x + statement.count


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
    program.statements[:] = [operation for operation in remaining if operation.out not in removed]


def _joined(statement: Each, made: dict[int, Each], readers: Ids, removed: set[int]) -> Each:
    """Return a loop with the producers of its operands inlined; add those to `removed`.

    A producer is inlined if it has as many elements, is read element by element, once, and by this
    loop alone. Otherwise it would be computed more than once.
    """
    operands = list(statement.operands)
    form = statement.form
    for index, item in enumerate(statement.operands):
        producer = made.get(item.first)
        # A second occurrence in the form would compute the producer twice.
        if producer is None or producer.count != statement.count or form.count(f"{{{index}}}") != 1:
            continue
        if statement.count > 1 and item.step != 1:
            continue
        # Another reader needs the elements in memory.
        if not (readers[producer.out : producer.out + producer.count] == 1).all():
            continue
        start = len(operands)
        inner = producer.form.format(*(f"{{{start + i}}}" for i in range(len(producer.operands))))
        form = form.replace(f"{{{index}}}", f"({inner})")
        operands.extend(producer.operands)
        removed.add(producer.out)
    return _without_gaps(replace(statement, form=form, operands=tuple(operands)))


def _without_gaps(statement: Each) -> Each:
    """Drop operands that the form no longer names, and renumber the others."""
    named = [i for i in range(len(statement.operands)) if f"{{{i}}}" in statement.form]
    names = ["" for _ in statement.operands]
    for new, old in enumerate(named):
        names[old] = f"{{{new}}}"
    return replace(
        statement,
        form=statement.form.format(*names),
        operands=tuple(statement.operands[i] for i in named),
    )


def _reuse(program: Program) -> None:
    """Give later statements the memory of elements that no later statement reads."""
    starts = [first for first, _ in program.chunks]
    last: dict[int, int] = {}  # last statement that writes or reads each chunk
    for time, statement in enumerate(program.statements):
        for first, _ in [(statement.out, 0), *_reads(statement)]:
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
    for time, statement in enumerate(program.statements):
        chunk = bisect_right(starts, statement.out) - 1
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


def _moved(statement: Statement, moved: Callable[[int], int]) -> Statement:
    if isinstance(statement, Each):
        operands = tuple(Operand(moved(item.first), item.step) for item in statement.operands)
        return replace(statement, out=moved(statement.out), operands=operands)
    if isinstance(statement, Product):
        return replace(
            statement, out=moved(statement.out), x=moved(statement.x), y=moved(statement.y)
        )
    if isinstance(statement, Lookup):
        table = statement.table if statement.table < 0 else moved(statement.table)
        return replace(
            statement, out=moved(statement.out), index=moved(statement.index), table=table
        )
    return replace(statement, out=moved(statement.out), x=moved(statement.x))
