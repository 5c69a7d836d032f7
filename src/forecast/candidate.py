"""The candidates of a command line, and the command that measures one."""

from __future__ import annotations

import functools
import hashlib
import itertools
import json
import os
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

import msgspec

from src.errors import UsageError
from src.run.circumstances import Environment
from src.run.layout import as_dict
from src.system import atomic_files

_MODEL = "model="
_SIZE = "data.image_size="
_BENCHMARK = "benchmark="
_LARGEST_SIDE = 32_768
# A few steps: enough for two intervals of the throughput, of which the first one warms up.
STEPS = 8
SHORT_TRAINING = (
    f"trainer.max_steps={STEPS}",
    f"trainer.log_every_n_steps={STEPS // 2}",
    "trainer.limit_val_batches=1",
    "profiler=none",
    "export.preflight=false",
    # Without selection images no recipe of int8 is searched: there is no accuracy to keep yet.
    "export.judging_images=0",
    # A twin is of trained weights, so all options of twins are refused.
    "twin.enabled=false",
)


# All parts train, as in most epochs of a training that begins with frozen ones.
UNFROZEN = ("finetune.freeze_epochs=0", "finetune.unfreeze_epochs=0")

# Speed-ups are over eager in every forecast.
_FIXED = ("trainer.default_root_dir=", "benchmark.baseline=", "twin=")
_OPTIONS_OF_PATHS = {"root", "file", "path", "folder", "weights", "cache_dir", "default_root_dir"}
_ROOT = Path(__file__).parents[2]


@dataclass(frozen=True)
class Request:
    """One network at one image size, and the other words of the command line."""

    model: str
    image_size: int | None  # None: the default of the data
    rest: tuple[str, ...]

    @property
    def name(self) -> str:
        """Name for messages and files, such as ``timm-lcnet_050-64px``."""
        size = f"-{self.image_size}px" if self.image_size else ""
        return self.model.replace("/", "-") + size

    def argv(self, root: Path) -> list[str]:
        """Return the command line of the short training.

        Args:
            root: folder that the run is written to.
        """
        words = [*self.rest]
        if not any(word.startswith(_BENCHMARK) for word in words):
            words.append(f"{_BENCHMARK}forecast")
        size = [f"{_SIZE}{self.image_size}"] if self.image_size else []
        return [
            f"{_MODEL}{self.model}",
            *size,
            *words,
            *SHORT_TRAINING,
            *UNFROZEN,
            f"trainer.default_root_dir={root}",
        ]

    def key(self, environment: Environment) -> str:
        """Return a hash of everything that decides the figures.

        These are the options and the content of the files that they name, the machine, the versions
        and the code of this project. The present clock of a GPU is left out.
        """
        gpu = environment.gpu and msgspec.structs.replace(environment.gpu, clock_hz=None)
        machine = msgspec.structs.replace(environment, gpu=gpu, git_commit=None)
        named = [named_file(word) for word in self.rest]
        content = [self.model, self.image_size, self.rest, named, as_dict(machine), code_hash()]
        return hashlib.sha256(json.dumps(content, sort_keys=True).encode()).hexdigest()


def named_file(word: str) -> list[str]:
    """Return the place of a file or folder that a word names, and the hash of a file.

    A value is a file if there is one, and a folder if it is written as one: ``benchmark=forecast``
    does not become another word when a folder with that name is made.
    """
    name, _, value = word.partition("=")
    text = value or word
    last = name.rpartition(".")[2]
    is_path = os.sep in text or text.startswith((".", "~")) or last in _OPTIONS_OF_PATHS
    try:
        path = Path(text).expanduser()
        if path.is_file():
            return [str(path.resolve()), atomic_files.sha256(path)]
        return [str(path.resolve())] if is_path else []
    except (OSError, RuntimeError):  # the training will say so
        return []


@functools.cache
def code_hash() -> str:
    """Return a hash of this project's modules and configuration files."""
    files = [*(_ROOT / "src").rglob("*.py"), *(_ROOT / "configs").rglob("*.yaml")]
    hashes = {str(file.relative_to(_ROOT)): atomic_files.sha256(file) for file in files}
    return hashlib.sha256(json.dumps(hashes, sort_keys=True).encode()).hexdigest()


def requests_of(words: Sequence[str], default_model: str) -> list[Request]:
    """Return a request for each network and image size of a command line.

    Args:
        words: in the grammar of ``src.train``; ``model=`` and ``data.image_size=`` take several
            values with commas between.
        default_model: the network without ``model=``.

    Raises:
        UsageError: a value is empty, repeated or no image size, or an option is set that a forecast
            sets itself.
    """
    words = [_without_dashes(word) for word in words]
    own = {word.partition("=")[0] for word in (*SHORT_TRAINING, *_FIXED)}
    for word in words:
        name = word.lstrip("-").partition("=")[0]
        if name in own or name.startswith("twin."):
            raise UsageError(
                name,
                expected="it to be left out, because a forecast sets it",
                found=word,
                remedy=f"leave out {name}",
            )
    models = _values(words, _MODEL) or [default_model]
    named: list[int | None] = [_side(text) for text in _values(words, _SIZE)]
    sizes = named or [None]
    rest = tuple(word for word in words if not word.startswith((_MODEL, _SIZE)))
    return [
        Request(model, size, rest) for model, size in itertools.product(models, sizes or [None])
    ]


def _without_dashes(word: str) -> str:
    """Return ``--model=A`` as ``model=A``, which takes several values; other words stay."""
    bare = word.lstrip("-")
    return bare if bare.startswith((_MODEL, _SIZE)) else word


def _values(words: Sequence[str], prefix: str) -> list[str]:
    """Return the values of the last word with a prefix; none without such a word."""
    texts = [word.removeprefix(prefix) for word in words if word.startswith(prefix)]
    values = texts[-1].split(",") if texts else []
    if len(set(values)) < len(values) or "" in values:
        raise UsageError(
            prefix.rstrip("="),
            expected="values with commas between, each once",
            found=texts[-1] or "nothing",
            remedy="name each once",
        )
    return values


def _side(text: str) -> int:
    if not text.isdecimal() or not 1 <= int(text) <= _LARGEST_SIDE:
        raise UsageError(
            "data.image_size",
            expected=f"whole numbers of pixels from 1 to {_LARGEST_SIDE}, with commas between",
            found=text,
            remedy="for example data.image_size=64,128,224",
        )
    return int(text)
