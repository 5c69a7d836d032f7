"""Records of a file's answers with the kernels for older instruction sets."""

from __future__ import annotations

from src.run.accuracy import Accuracy, Verdict
from src.run.record import Count, InvalidValueError, Record, Status, Text, null
from src.shipped.accuracy import LEAST_SAME
from src.system.cpuid_mask import InstructionSet


class InstructionSetAnswers(Record, frozen=True, kw_only=True):
    """The accuracy of a file on the scored images with the kernels for one instruction set.

    The baseline of the verdict is the measurement's, with all instruction sets of the processor.
    """

    instruction_set: InstructionSet
    status: Status
    reason: Text | None = null()  # for being skipped or failed
    accuracy: Accuracy | None = null()
    verdict: Verdict | None = null()
    changed: Count | None = null()  # images with another top-1 than the same file's here
    # Emulator and processor; null if it ran natively. Emulation is slow: there are fewer images.
    emulated: Text | None = null()

    def __post_init__(self) -> None:
        if self.status != "ok":
            if self.accuracy or self.verdict or self.changed is not None:
                raise InvalidValueError("status", "ok beside figures", self.status)
            return
        if self.accuracy is None or self.accuracy.paired is None or self.verdict is None:
            raise InvalidValueError("accuracy", "a comparison with the baseline", None)
        if self.changed is None or self.changed > self.accuracy.images:
            expected = f"a whole number up to {self.accuracy.images}"
            raise InvalidValueError("changed", expected, self.changed)

    @property
    def has_too_few_images(self) -> bool:
        """True if the few images of an emulation leave it open whether the budget is kept."""
        if self.emulated is None or self.accuracy is None:
            return False
        is_claim = self.verdict == "same" and self.accuracy.images < LEAST_SAME
        return is_claim or self.verdict == "inconclusive"

    @property
    def keeps_budget(self) -> bool | None:
        """True if the file is shown to keep the accuracy budget there; None if it is not known.

        It is not known if it was not tried, or on too few emulated images.
        """
        if self.status == "skipped" or self.has_too_few_images:
            return None
        return self.verdict in {"same", "pass"}
