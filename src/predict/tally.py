"""Number of predicted images, printed at the end of the command, also after an error."""

from __future__ import annotations

import sys
from types import TracebackType
from typing import Self

from src.errors import LightshipError
from src.predict.options import OnError
from src.predict.stage import Prediction
from src.system.standard_output import ClosedOutput


class Tally:
    """Counts predictions, and prints their number to standard error at the end.

    Nothing is printed if an error came before the first prediction, or if the reader of standard
    output has closed it.

    Args:
        total: number of images on the command line.
        output: path of the file that the predictions are written to, if any.
    """

    def __init__(self, total: int, output: str | None) -> None:
        self._total = total
        self._output = output
        self._answered = self._skipped = 0

    def add(self, prediction: Prediction) -> None:
        """Count a prediction that was written."""
        if prediction.problem:
            self._skipped += 1
        else:
            self._answered += 1

    def require_all(self, on_error: OnError) -> None:
        """Report the images without a prediction, if there are any.

        Raises:
            LightshipError: there are some, and ``on_error`` is ``mark``.
        """
        if not self._skipped:
            return
        line = f"{self._skipped} of {self._total} images skipped"
        if on_error != "mark":
            print(line, file=sys.stderr)
            return
        where = f"in {self._output}" if self._output else "above"
        raise LightshipError(
            f"{line}: the reason stands in the line of each, {where}; on_error=skip ends with exit "
            "code 0 all the same"
        )

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        begun = self._answered + self._skipped > 0
        if isinstance(error, ClosedOutput) or (error is not None and not begun):
            return
        where = f", in {self._output}" if self._output else ""
        print(f"{self._answered} of {self._total} images answered{where}", file=sys.stderr)
