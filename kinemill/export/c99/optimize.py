"""A program made smaller: loops joined where one feeds another alone, memory used again.

Before this every element has a place of its own and is written once, so nothing here depends on
the order in which loops were found; afterwards the order counts.
"""

from bisect import bisect_right
from collections.abc import Callable, Iterator
from dataclasses import replace

import numpy as np

from kinemill.export.c99.program import Dense, Each, Ids, Operand, Product, Program, Statement

Span = tuple[int, int]  # first element, and the one after the last


def tidy(program: Program) -> None:
    """Join loops and use memory again, in place."""
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
    kept, gone = list[Statement](), set[int]()
    for one in program.statements:
        joined = _joined(one, made, readers, gone) if isinstance(one, Each) else one
        if isinstance(joined, Each):
            made[joined.out] = joined
        kept.append(joined)
    program.statements[:] = [one for one in kept if one.out not in gone]


def _joined(one: Each, made: dict[int, Each], readers: Ids, gone: set[int]) -> Each:
    operands, form = list(one.operands), one.form
    for place, item in enumerate(one.operands):
        before = made.get(item.first)
        if before is None or before.count != one.count or form.count(f"{{{place}}}") != 1:
            continue
        if one.count > 1 and item.step != 1:
            continue
        if not (readers[before.out : before.out + before.count] == 1).all():
            continue
        start = len(operands)
        inner = before.form.format(*(f"{{{start + i}}}" for i in range(len(before.operands))))
        form = form.replace(f"{{{place}}}", f"({inner})")
        operands.extend(before.operands)
        gone.add(before.out)
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
    """Give a place that nobody reads any more to what comes later."""
    starts = [first for first, _ in program.chunks]
    last: dict[int, int] = {}
    for time, one in enumerate(program.statements):
        for first, _ in [(one.out, 0), *_reads(one)]:
            if first >= program.inputs:
                last[bisect_right(starts, first) - 1] = time
    for first in program.outputs[program.outputs >= program.inputs].tolist():
        last[bisect_right(starts, first) - 1] = len(program.statements)
    places = _places(program, starts, last)

    def moved(first: int) -> int:
        if first < program.inputs:
            return first
        chunk = bisect_right(starts, first) - 1
        return places[chunk] + first - starts[chunk]

    program.statements[:] = [_moved(one, moved) for one in program.statements]
    program.outputs = np.array([moved(int(item)) for item in program.outputs], np.int64)


def _places(program: Program, starts: list[int], last: dict[int, int]) -> dict[int, int]:
    """Return where each chunk goes: the first gap that holds it when it is first written."""
    places, living, end = dict[int, int](), dict[int, Span](), program.inputs
    for time, one in enumerate(program.statements):
        chunk = bisect_right(starts, one.out) - 1
        if chunk in places:
            continue
        for old in [old for old in living if last[old] < time]:
            del living[old]
        size, place = program.chunks[chunk][1], program.inputs
        for first, stop in sorted(living.values()):
            if place + size <= first:
                break
            place = max(place, stop)
        places[chunk], living[chunk] = place, (place, place + size)
        end = max(end, place + size)
    program.elements = end
    return places


def _moved(one: Statement, moved: Callable[[int], int]) -> Statement:
    if isinstance(one, Each):
        operands = tuple(Operand(moved(item.first), item.step) for item in one.operands)
        return replace(one, out=moved(one.out), operands=operands)
    if isinstance(one, Product):
        return replace(one, out=moved(one.out), x=moved(one.x), y=moved(one.y))
    return replace(one, out=moved(one.out), x=moved(one.x))
