"""The candidates of a command line, and the command that measures one.

A candidate is a network at a width and an image size.
"""

from __future__ import annotations

import functools
import hashlib
import itertools
import json
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

import msgspec

from src.errors import UsageError
from src.forecast.image_listing import listing_hash
from src.forecast.named_files import named_file
from src.forecast.records import network_of
from src.run.circumstances import Environment
from src.run.layout import as_dict
from src.system import atomic_files

_MODEL = "model="
_SIZE = "data.image_size="
WIDTH = "model.width"  # the option of a training
_SEVERAL = (_MODEL, _SIZE)  # words that take several values
_BENCHMARK = "benchmark="
_OF_JUDGING = ("benchmark", "export")  # groups of options that a training ignores in a search
_INIT_ARGS = ".init_args."
# Options that would replace the network of `model=`.
_NETWORK = ("model.class_path", "model.architecture")
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
    "benchmark.baseline=eager",  # speed-ups are over eager in every forecast
    "benchmark.pages=false",
    "benchmark.load=false",
    "benchmark.load_p99_limit=null",
    "benchmark.load_max_seconds=null",
    # A twin is of trained weights, so all options of twins are refused.
    "twin.enabled=false",
)


# All parts train, as in most epochs of a training that begins with frozen ones.
UNFROZEN = ("finetune.freeze_epochs=0", "finetune.unfreeze_epochs=0")
# The least length of the user's training, which is above these few steps.
NO_LEAST_LENGTH = ("trainer.min_epochs=null", "trainer.min_steps=null")

_FIXED = ("trainer.default_root_dir=", "twin=")
_ROOT = Path(__file__).parents[2]
_MEASUREMENT = _ROOT / "configs" / "benchmark" / "forecast.yaml"


@dataclass(frozen=True)
class Request:
    """One network at one width and image size, and the other words of the command line."""

    model: str
    image_size: int | None  # None: the default of the data
    rest: tuple[str, ...]
    # False if no `model=` names the network: a file, an option or the default chooses it.
    is_named: bool = True
    images: str | None = None  # folder of the user's own images; None for another data set
    # Options of the line and of its files that name a file or a folder, as ``name=value``.
    paths: tuple[str, ...] = ()
    width: float | None = None  # factor on the channels; None for the network's own width

    @property
    def name(self) -> str:
        """Name for messages and files, such as ``timm-lcnet_050-64px`` or ``rexnet-x0.5-64px``."""
        width = f"-x{self.width:g}" if self.width else ""
        size = f"-{self.image_size}px" if self.image_size else ""
        return self.model.replace("/", "-") + width + size

    @property
    def point(self) -> tuple[str, int | None]:
        """The network with its width in words, and the image size."""
        return network_of(self.model, self.width), self.image_size

    @property
    def words(self) -> list[str]:
        """The words of the command line, with one network, one width and one image size."""
        model = [f"{_MODEL}{self.model}"] if self.is_named else []
        width = [f"{WIDTH}={self.width:g}"] if self.width else []
        size = [f"{_SIZE}{self.image_size}"] if self.image_size else []
        return [*model, *size, *width, *self.rest]

    @property
    def naming(self) -> tuple[str, ...]:
        """All words that may name a file or a folder."""
        return tuple(dict.fromkeys([*self.rest, *self.paths]))

    def argv(self, root: Path) -> list[str]:
        """Return the command line of the short training.

        The measurement of a forecast comes first, so that files of the user override it.

        Args:
            root: folder that the run is written to.
        """
        is_chosen = any(word.startswith(_BENCHMARK) for word in self.rest)
        return [
            *([] if is_chosen else [f"--config={_MEASUREMENT}"]),
            *self.words,
            *SHORT_TRAINING,
            *UNFROZEN,
            *NO_LEAST_LENGTH,
            f"trainer.default_root_dir={root}",
        ]

    def key(self, environment: Environment) -> str:
        """Return a hash of everything that decides the figures of a forecast and of a judgement.

        These are the options and the content of the files that they name, the names and sizes of
        the images of the user, the machine, the versions and the code of this project. The present
        clock of a GPU is left out.
        """
        return self._hash(environment, self.rest, self.paths)

    def training_key(self, environment: Environment) -> str:
        """Return a hash of everything that decides the weights: no word of export or measurement.

        Files count as a whole, also those that have such options. It is the key itself if the
        command line has no such word.
        """
        paths = training_words(self.paths)
        return self._hash(environment, training_words(self.rest), paths)

    def _hash(self, environment: Environment, rest: Sequence[str], paths: Sequence[str]) -> str:
        machine = msgspec.structs.replace(environment.lasting, git_commit=None)
        named = [named_file(word) for word in dict.fromkeys([*rest, *paths])]
        network: list[object] = [self.model, self.is_named, self.image_size]
        if self.width is not None:
            network.append(self.width)
        images = self.images and listing_hash(self.images)
        content = [network, rest, named, images, as_dict(machine), code_hash()]
        return hashlib.sha256(json.dumps(content, sort_keys=True).encode()).hexdigest()


def training_words(words: Sequence[str]) -> list[str]:
    """Leave out the words of the groups ``export`` and ``benchmark``, which decide no weights.

    Args:
        words: in the grammar of ``src.train``.
    """
    kept = []
    pending = iter(words)
    for word in pending:
        is_pair = word.startswith("-") and "=" not in word
        value = next(pending, None) if is_pair else None
        is_option = is_pair or "=" in word
        if not is_option or _option(word).partition(".")[0] not in _OF_JUDGING:
            kept += [word] if value is None else [word, value]
    return kept


@functools.cache
def code_hash() -> str:
    """Return a hash of this project's modules and configuration files."""
    files = [*(_ROOT / "src").rglob("*.py"), *(_ROOT / "configs").rglob("*.yaml")]
    hashes = {str(file.relative_to(_ROOT)): atomic_files.sha256(file) for file in files}
    return hashlib.sha256(json.dumps(hashes, sort_keys=True).encode()).hexdigest()


def requests_of(
    words: Sequence[str],
    default_model: str,
    images: str | None = None,
    paths: tuple[str, ...] = (),
) -> list[Request]:
    """Return a request for each network and image size of a command line.

    Args:
        words: in the grammar of ``src.train``; ``model=`` and ``data.image_size=`` take several
            values with commas between, also as ``--model A,B``.
        default_model: name of the network without ``model=``, for messages and files.
        images: folder of the user's own images; None for another data set.
        paths: the options that name a file or a folder, as ``name=value``.

    Raises:
        UsageError: a value is empty, repeated or no image size, an option is set that a forecast
            sets itself, or an option would replace the networks of ``model=``.
    """
    words = _in_one_form(words)
    own = {word.partition("=")[0] for word in (*SHORT_TRAINING, *_FIXED)}
    for word in words:
        name = _option(word)
        if name in own or name.startswith("twin."):
            raise UsageError(
                name,
                expected="it to be left out, because a forecast sets it",
                found=word,
                remedy=f"leave out {name}",
            )
    models = _values(words, _MODEL)
    named: list[int | None] = [_side(text) for text in _values(words, _SIZE)]
    rest = tuple(word for word in words if not word.startswith(_SEVERAL))
    if models:
        _require_no_network(rest)
    return [
        Request(model, size, rest, is_named=bool(models), images=images, paths=paths)
        for model, size in itertools.product(models or [default_model], named or [None])
    ]


def _require_no_network(rest: Sequence[str]) -> None:
    """Refuse an option that would replace each network of ``model=``.

    Raises:
        UsageError: there is one.
    """
    for word in rest:
        if _option(word) in _NETWORK:
            raise UsageError(
                _option(word),
                expected="it to be left out beside model=, because it replaces the network",
                found=word,
                remedy=f"leave out model= or {_option(word)}",
            )


def _option(word: str) -> str:
    """Return the name of a word's option, without dashes and ``init_args``."""
    return word.lstrip("-").partition("=")[0].replace(_INIT_ARGS, ".")


def _in_one_form(words: Sequence[str]) -> list[str]:
    """Return ``--model=A`` and ``--model A`` as ``model=A``, which takes several values.

    The same holds for the image size; other words stay.
    """
    several = {prefix.rstrip("=") for prefix in _SEVERAL}
    unified = []
    pending = iter(words)
    for word in pending:
        name, equals, value = _option(word), *word.partition("=")[1:]
        if name not in several or not (equals or word.startswith("-")):
            unified.append(word)
        else:
            unified.append(f"{name}={value if equals else next(pending, '')}")
    return unified


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
