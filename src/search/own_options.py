"""Options that a search decides itself, and those that would end or change its trainings.

A training pauses at each rung and is resumed, up to the epochs that are configured.
"""

from __future__ import annotations

import re
from collections.abc import Iterator, Mapping, Sequence

from src.errors import UsageError

# Options that a search sets itself, or that would end a training early or judge it otherwise.
_OWN = (
    "benchmark.enabled",
    "benchmark.load",
    "checkpoint.mode",
    "checkpoint.monitor",
    "ckpt_path",
    "export.enabled",
    "finetune.find_batch_size",
    "finetune.find_lr",
    "finetune.patience",
    "trainer.check_val_every_n_epoch",
    "trainer.fast_dev_run",
    "trainer.max_time",
    "trainer.min_epochs",
    "trainer.min_steps",
)
# In a file, the values of these options that change nothing. The search sets the other ones back.
_HARMLESS: dict[str, tuple[object, ...]] = {
    "benchmark.load": (False,),
    "ckpt_path": (None,),
    "finetune.find_batch_size": (False, None),
    "finetune.find_lr": (False, None),
    "trainer.check_val_every_n_epoch": (1,),
    "trainer.fast_dev_run": (False, None),
    "trainer.max_steps": (-1, None),
    "trainer.max_time": (None,),
    "trainer.min_epochs": (None, 0, 1),
    "trainer.min_steps": (None, 0),
}
# Lightning does not repeat the step of this schedule at the end of an epoch.
_PLATEAU = re.compile(r"\bReduceLROnPlateau\b")
_ENDS_EARLY = re.compile(r"\b(?:EarlyStopping|Timer)\b")
_CALLBACKS = "trainer.callbacks"


def require_no_own_option(words: Sequence[str]) -> None:
    """Check that a command line sets no option that a search decides.

    Args:
        words: in the grammar of ``src.train``.

    Raises:
        UsageError: it does.
    """
    for word in words:
        name, _, value = word.lstrip("-").partition("=")
        name = name.removesuffix("+")
        if name in _OWN:
            raise _decided(name, word)
        _require_whole(name, value or name, word)


def require_whole_training(options: Mapping[str, object]) -> None:
    """Check that files and mappings of a command line end no training early and resume no other.

    Args:
        options: of the command line and of all its files, with names such as
            ``trainer.max_epochs``.

    Raises:
        UsageError: one does.
    """
    for name, value in options.items():
        for own, harmless in _HARMLESS.items():
            if (name == own or name.startswith(f"{own}.")) and value not in harmless:
                raise _decided(own, f"{name}: {value} in a file or mapping")
        for text in _texts(value):
            _require_whole(name, text, text)


def _require_whole(name: str, text: str, place: str) -> None:
    if _PLATEAU.search(text):
        raise UsageError(
            name,
            expected="a schedule that goes on where a training paused",
            found=place,
            remedy="choose another schedule, or leave it out",
        )
    if name.startswith(_CALLBACKS) and _ENDS_EARLY.search(text):
        raise UsageError(
            name,
            expected="no callback that ends a training early, because rungs are shares of it",
            found=place,
            remedy="leave it out",
        )


def _decided(name: str, found: str) -> UsageError:
    return UsageError(
        name,
        expected="it to be left out, because a search decides it",
        found=found,
        remedy=f"leave out {name}",
    )


def _texts(value: object) -> Iterator[str]:
    """Yield all texts of nested lists and mappings."""
    if isinstance(value, str):
        yield value
    elif isinstance(value, Mapping):
        for inner in value.values():
            yield from _texts(inner)
    elif isinstance(value, list):
        for inner in value:
            yield from _texts(inner)
