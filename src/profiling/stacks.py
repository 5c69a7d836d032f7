"""Python stacks of the calls in a trace that was recorded with them."""

from __future__ import annotations

from array import array
from dataclasses import dataclass, field

import numpy as np

from src.profiling.calls import Calls
from src.profiling.spans import Integers, Kind, Spans, tuples_of

MAX_FRAMES = 40
_MAX_FRAME = 300  # characters


@dataclass
class _Chains:
    """Distinct stacks as a tree: a stack is the number of its outer stack and a function.

    Stack 0 is empty.
    """

    outer: list[int] = field(default_factory=lambda: [0])
    function: list[int] = field(default_factory=lambda: [-1])  # position in Spans.names
    numbers: dict[tuple[int, int], int] = field(default_factory=dict)

    def within(self, outer: int, function: int) -> int:
        """Return the stack of a function that is called from another stack."""
        number = self.numbers.setdefault((outer, function), len(self.outer))
        if number == len(self.outer):
            self.outer.append(outer)
            self.function.append(function)
        return number

    def frames(self, number: int, names: list[str]) -> tuple[str, ...]:
        """Return the names of up to MAX_FRAMES functions, the innermost first."""
        frames: list[str] = []
        while number and len(frames) < MAX_FRAMES:
            frames.append(names[self.function[number]][:_MAX_FRAME])
            number = self.outer[number]
        return tuple(frames)


def stacks_of(spans: Spans, calls: Calls) -> tuple[Integers, list[list[str]]]:
    """Return the number of each call's stack, and the stacks, of which the first is empty.

    The functions are those that contain the call on its thread, the innermost first. An operator
    of the backward pass has the stack of the operator that made its node in the forward pass.
    """
    chains = _Chains()
    numbers = array("q")
    backward = array("q")  # sequence number of the node whose backward pass contains the call
    made: dict[int, int] = {}  # sequence number -> stack of the last operator that carries it
    columns = (
        calls.parent,
        spans.kind[calls.span],
        spans.name[calls.span],
        spans.sequence[calls.span],
        spans.is_backward[calls.span],
    )
    for parent, kind, name, sequence, is_backward in tuples_of(*columns):
        outer = numbers[parent] if parent >= 0 else 0
        number = chains.within(outer, name) if kind == Kind.PYTHON else outer
        node = sequence if is_backward else backward[parent] if parent >= 0 else -1
        if node < 0 and sequence >= 0 and kind == Kind.OPERATOR:
            made[sequence] = number  # an operator carries the number of the next node
        numbers.append(number)
        backward.append(node)
    positions: dict[tuple[str, ...], int] = {(): 0}
    position_of: dict[tuple[int, str], int] = {}
    groups = np.zeros(len(numbers), np.int64)
    call_stacks = spans.call_stack[calls.span]
    for call, (number, node) in enumerate(zip(numbers, backward, strict=True)):
        call_stack = spans.call_stacks[call_stacks[call]]
        key = (made.get(node, number), call_stack)
        if key not in position_of:
            frames = chains.frames(key[0], spans.names) or _frames(call_stack)
            position_of[key] = positions.setdefault(frames, len(positions))
        groups[call] = position_of[key]
    return groups, [list(frames) for frames in positions]


def _frames(call_stack: str) -> tuple[str, ...]:
    """Return the functions of a stack that the trace holds as text."""
    frames = call_stack.split(";", MAX_FRAMES)[:MAX_FRAMES] if call_stack else []
    return tuple(frame[:_MAX_FRAME] for frame in frames)
