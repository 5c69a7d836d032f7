"""Clock of the stages from the bytes of an image file to its label.

The stages are those of Lightship's report (``src/worker/pipeline.py``): decode, resize, convert,
infer and label.
"""

from __future__ import annotations

import io
import itertools
from collections.abc import Callable
from time import perf_counter
from typing import Any

STAGES = ("decode", "resize", "convert", "infer", "label")
TOP = 5  # classes that a program names


class StageWatch:
    """Clock around a program's own functions.

    :meth:`Model.prepare` is called as it is: its functions that decode and resize are replaced by
    the same ones with a clock around them. A model with its preprocessing inside resizes in none.

    Args:
        program: the module of the model.
        model: the loaded model.
    """

    def __init__(self, program: Any, model: Any) -> None:
        self._program = program
        self._model = model
        self._spent = {"read_image": 0.0, "resize": 0.0}
        self._plain = {name: getattr(program, name) for name in self._spent}
        for name, function in self._plain.items():
            setattr(program, name, self._clocked(name, function))

    def restore(self) -> None:
        """Give the program its own functions back."""
        for name, function in self._plain.items():
            setattr(self._program, name, function)

    def once(self, content: bytes) -> tuple[float, list[float]]:
        """Return the seconds of one call by an outer clock, and those of each stage."""
        spent = self._spent
        spent.update(dict.fromkeys(spent, 0.0))
        began = perf_counter()
        moments = [perf_counter()]
        prepared = self._model.prepare(io.BytesIO(content))
        moments.append(perf_counter())
        logits = self._model.logits([prepared])
        moments.append(perf_counter())
        self._program.likeliest(self._program.softmax(logits)[0], TOP)
        moments.append(perf_counter())
        seconds = perf_counter() - began
        prepare, infer, label = (after - before for before, after in itertools.pairwise(moments))
        decode, resize = spent["read_image"], spent["resize"]
        if not decode:
            raise ValueError("the program decodes by another function than read_image")
        return seconds, [decode, resize, prepare - decode - resize, infer, label]

    def _clocked(self, name: str, function: Callable[..., Any]) -> Callable[..., Any]:
        def clocked(*arguments: Any, **named: Any) -> Any:
            started = perf_counter()
            try:
                return function(*arguments, **named)
            finally:
                self._spent[name] += perf_counter() - started

        return clocked
