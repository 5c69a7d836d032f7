"""Options that only a training looks at, refused beside the other subcommands."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from pathlib import Path

from src.cli import typed_options
from src.errors import UsageError
from src.system.project_commands import options_of

GROUPS = ("checkpoint", "profiler", "finetune", "twin", "export", "benchmark")
_CONFIGS = Path(__file__).parents[2] / "configs"


def require_none(subcommand: str, args: Sequence[str]) -> None:
    """Refuse the words of a command line that only ``fit`` looks at.

    All of them are named at once, because the line may be copied from a training.

    Args:
        subcommand: validate, test or predict.
        args: the translated command line.

    Raises:
        UsageError: there are such words.
    """
    words = [*dict.fromkeys([*_presets(args), *_options(args)])]
    if words:
        several = len(words) > 1
        it = "them" if several else "it"
        raise UsageError(
            ", ".join(words),
            expected=f"no such option{'s' if several else ''}, for only fit looks at {it}",
            found=f"{it}, with {subcommand}",
            remedy=f"leave {it} out",
        )


def _presets(args: Sequence[str]) -> Iterator[str]:
    """Yield the choices of a group, such as ``twin=true``, which are files by now."""
    parts = [part for name, part in options_of(args) if name == "config"]
    files = [part[-1].removeprefix("--config=") for part in parts]
    for file in map(Path, files):
        group = file.resolve().parent
        if group.name in GROUPS and group.parent == _CONFIGS.resolve():
            yield f"{group.name}={file.stem}"


def _options(args: Sequence[str]) -> Iterator[str]:
    """Yield the options that are typed; of a mapping the name of the whole."""
    whole = ""
    for name in typed_options.names(args):
        if name.partition(".")[0] in GROUPS and not (whole and name.startswith(f"{whole}.")):
            whole = name
            yield name
