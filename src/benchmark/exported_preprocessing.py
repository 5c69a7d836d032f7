"""Check that a run's files are measured with the preprocessing that they were exported with."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Protocol

from src.errors import UsageError
from src.run.facts import PreprocessingFacts
from src.run.folder import Run
from src.run.preprocessing_steps import CROP_SHARE
from src.system.project_commands import typed


class _Preprocessing(Protocol):
    def facts(self) -> PreprocessingFacts: ...


class _Data(Protocol):
    @property
    def preprocessing(self) -> _Preprocessing: ...


def require_same(run: Run, data: _Data) -> None:
    """Refuse data with another preprocessing than the manifest of the run's files has.

    A resumed training that was stopped early leaves its options beside the earlier files.

    Raises:
        UsageError: the run's configuration has another preprocessing than its exports.
    """
    exported = _values(run.read_manifest().preprocessing)
    configured = _values(data.preprocessing.facts())
    names = [name for name, value in exported.items() if configured[name] != value]
    if names:
        raise UsageError(
            str(run.config),
            expected=f"the preprocessing of the exported files, {_shown(exported, names)}",
            found=_shown(configured, names),
            remedy="go on with the training, or mend the file; where its options are meant, export "
            f"again: {typed('src.export')} {run.quoted}",
        )


def _values(facts: PreprocessingFacts) -> dict[str, object]:
    """Return the values that decide an image's pixels, with the defaults of older records."""
    return {
        "image_size": facts.image_size,
        "resize": facts.resize,
        "mean": facts.mean,
        "std": facts.std,
        "interpolation": facts.interpolation or "bilinear",
        "crop_share": (facts.crop_share or CROP_SHARE) if facts.resize == "crop" else None,
    }


def _shown(values: Mapping[str, object], names: Sequence[str]) -> str:
    return ", ".join(f"{name} {values[name]}" for name in names)
