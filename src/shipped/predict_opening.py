"""Opening the model file of a bundle with its runtime."""

from __future__ import annotations

import importlib
import json
import math
import os
import warnings
from pathlib import Path
from typing import TYPE_CHECKING, Any, Protocol

import numpy as np

if TYPE_CHECKING or __package__:  # a part of a package
    from . import machine
    from .decoder_names import DECODERS, PACKAGES, PLAIN
    from .file_hash import sha256_of
    from .jpeg_decoders import MissingDecoderError, load
    from .lfs_pointer import advice
    from .predict_fork import OneProcess
    from .predict_images import RESAMPLING
    from .unopened import cause_in_words
else:  # in the folder of a model
    import machine
    from decoder_names import DECODERS, PACKAGES, PLAIN
    from file_hash import sha256_of
    from jpeg_decoders import MissingDecoderError, load
    from lfs_pointer import advice
    from predict_fork import OneProcess
    from predict_images import RESAMPLING
    from unopened import cause_in_words

Array = np.ndarray[Any, np.dtype[Any]]

HERE = Path(__file__).resolve().parent
KEYS = {
    "runtime",
    "model",
    "sha256",
    "executes",
    "mixes_batch",
    "needs_dot_product",
    "threads",
    "preprocessing",
    "input",
}
EXPECTED = "expected.json"
BESIDE = "metadata.json"  # class names and preprocessing
CHANNELS = 3
MOST_SIDE = 1 << 16  # of the network's input
AGAIN = "unpack the zip file again"
DOUBT = (
    "{file} was quantized for processors with an int8 dot product, which this one has not: "
    "sums may saturate and answers be wrong; python predict.py --exam, or --check, compares them "
    "with those of where it was packed"
)
# Their kernels are oneDNN's, which reads these variables.
OF_ONEDNN = {"runtime_torch", "runtime_openvino", "runtime_onnxruntime_openvino"}
OTHER_PRECISION = (
    "ONEDNN_DEFAULT_FPMATH_MODE",
    "DNNL_DEFAULT_FPMATH_MODE",
    "DNNL_ACL_ENABLE_FAST_MATH",
)


class Runtime(Protocol):
    """An opened model file; each ``runtime_*.py`` has a class of this name."""

    metadata: dict[str, Any]

    def __call__(self, images: Array) -> Array: ...


class UnusableModelError(RuntimeError):
    """The model file cannot be used here."""


def description(folder: Path) -> dict[str, Any]:
    """Return what ``model.json`` says of the model file and the way to run it.

    Raises:
        UnusableModelError: it is missing or damaged.
    """
    about: dict[str, Any] = read_json(folder / "model.json", dict)
    if missing := sorted(KEYS - set(about)):
        raise UnusableModelError(f"model.json: {', '.join(missing)} missing; {AGAIN}")
    takes, threads = about["input"], about["threads"]
    sound = {
        "runtime": isinstance(about["runtime"], str),
        "model": is_plain(about["model"]),
        "sha256": isinstance(about["sha256"], dict) and all(map(is_plain, about["sha256"])),
        "needs_dot_product": isinstance(about["needs_dot_product"], bool),
        "threads": threads is None or (type(threads) is int and threads > 0),
        "preprocessing": isinstance(about["preprocessing"], dict),
        "input": isinstance(takes, dict) and isinstance(takes.get("normalised"), bool),
    }
    for key, is_sound in sound.items():
        if not is_sound:
            raise UnusableModelError(f"model.json: {key} is {about[key]!r:.60}; {AGAIN}")
    require_rule(about["preprocessing"], "model.json")
    return about


def preprocessing_of(metadata: dict[str, Any], about: dict[str, Any]) -> dict[str, Any]:
    """Return the preprocessing: that in the model file's own metadata, or else ``model.json``'s.

    Raises:
        UnusableModelError: it is damaged. A file with its preprocessing inside needs none of it.
    """
    rule: dict[str, Any] = metadata.get("preprocessing") or about["preprocessing"]
    if "preprocessing_embedded" not in metadata:
        require_rule(rule, about["model"])
    return rule


def require_rule(rule: object, file: str) -> None:
    """Refuse a preprocessing that lacks a value, or has one that no image can be prepared with.

    Args:
        rule: as it was read.
        file: that it comes from, for the message.

    Raises:
        UnusableModelError: it is damaged.
    """
    if not isinstance(rule, dict):
        raise UnusableModelError(f"{file}: preprocessing is {rule!r:.60}; {AGAIN}")
    size, mean, std, share = (rule.get(key) for key in ("image_size", "mean", "std", "crop_share"))
    scale, resize, filter_ = (rule.get(key) for key in ("scale", "resize", "interpolation"))
    sound = {
        "image_size": type(size) is int and 0 < size <= MOST_SIDE,
        "resize": resize in ("squash", "crop"),
        "interpolation": isinstance(filter_, str) and filter_ in RESAMPLING,
        "scale": _is_share(scale) and scale != 0,
        "mean": _are_channels(mean),
        "std": _are_channels(std) and 0 not in std,  # type: ignore[operator]
        "crop_share": resize == "squash" or (_is_share(share) and share != 0),
    }
    for key, is_sound in sound.items():
        if not is_sound:
            raise UnusableModelError(
                f"{file}: preprocessing.{key} is {rule.get(key)!r:.60}; {AGAIN}"
            )


def _are_channels(values: object) -> bool:
    """Return True for a finite number of each of R, G and B."""
    return (
        isinstance(values, list)
        and len(values) == CHANNELS
        and all(type(value) in {int, float} and math.isfinite(value) for value in values)
    )


def read_json(path: Path, kind: type) -> Any:
    """Return the content of a JSON file of the bundle.

    Args:
        path: of the file.
        kind: of its content.

    Raises:
        UnusableModelError: it is missing or damaged.
    """
    try:
        content = json.loads(path.read_text(encoding="utf-8-sig"))  # as editors on Windows write
    except (OSError, ValueError, RecursionError) as error:
        raise UnusableModelError(f"{path.name}: {one_line(error)}; {AGAIN}") from error
    if not isinstance(content, kind):
        raise UnusableModelError(f"{path.name}: not a {kind.__name__}; {AGAIN}")
    return content


def chosen_decoder(folder: Path = HERE) -> str:
    """Return the decoder that a folder was made with."""
    path = folder / "decoder.json"
    if not path.is_file():
        return PLAIN
    decoder = read_json(path, dict).get("decoder")
    if decoder not in DECODERS:
        raise UnusableModelError(
            f"{path.name}: expected a decoder out of {', '.join(DECODERS)}, found "
            f"{decoder!r:.60}; {AGAIN}"
        )
    return str(decoder)


def require_decoder(name: str) -> None:
    """Refuse an unknown decoder, and one whose package is not installed.

    Raises:
        UnusableModelError: it cannot be used here.
    """
    if name not in DECODERS:
        raise UnusableModelError(
            f"expected a decoder out of {', '.join(DECODERS)}, found {name!r:.60}"
        )
    try:
        if name in PACKAGES:
            load(name)
    except MissingDecoderError as error:
        raise UnusableModelError(f"the decoder {name} cannot be used: {error}") from error


def metadata_beside(model: Path) -> dict[str, Any]:
    """Return class names and preprocessing from the file beside a model that has no place for them.

    Raises:
        UnusableModelError: it is damaged.
    """
    beside = model.with_name(BESIDE)
    facts = read_json(beside, dict) if beside.is_file() else {}
    return {name: facts[name] for name in ("class_names", "preprocessing") if name in facts}


def is_plain(name: object) -> bool:
    """Return True for the name of a file that lies in the folder itself."""
    return isinstance(name, str) and bool(name) and Path(name).name == name


def expected_answer(folder: Path, classes: int) -> dict[str, Any]:
    """Return the content of ``expected.json``.

    Raises:
        UnusableModelError: it is missing or damaged, or of another number of classes.
    """
    expected: dict[str, Any] = read_json(folder / EXPECTED, dict)
    values = expected.get("probabilities")
    sound = {
        "image": is_plain(expected.get("image")),
        "class": isinstance(expected.get("class"), str),
        "probabilities": isinstance(values, list)
        and all(map(_is_share, values))
        and len(values) == classes,
        "tolerance": _is_share(expected.get("tolerance")),
    }
    for key, is_sound in sound.items():
        if not is_sound:
            raise UnusableModelError(f"{EXPECTED}: {key} is missing or damaged; {AGAIN}")
    return expected


def _is_share(value: object) -> bool:
    return type(value) in {int, float} and 0 <= value <= 1  # type: ignore[operator]


def open_runtime(folder: Path, about: dict[str, Any], threads: int | None) -> Runtime:
    """Open the model file with the runtime that it was packed for.

    A warning says that int8 sums may saturate on this processor, or float32 is computed in another
    precision: the program that makes the model is told, because nothing else shows it.

    Raises:
        UnusableModelError: the file is another one than was packed, or cannot run here.
    """
    name, path = about["runtime"], folder / about["model"]
    if about["executes"]:
        for file, expected in about["sha256"].items():
            require_hash(folder / file, expected)
    if name not in {file.stem for file in HERE.glob("runtime_*.py")}:
        raise UnusableModelError(f"model.json: expected a runtime_*.py beside it, found {name!r}")
    try:
        module = importlib.import_module(f"{__package__}.{name}" if __package__ else name)
        runtime: Runtime = module.Runtime(path, threads)
    except ImportError as error:
        raise UnusableModelError(f"{error}; pip install -r requirements.txt") from error
    except Exception as error:  # of the runtime: each has its own
        cause = cause_in_words(folder, about["sha256"])
        raise UnusableModelError(
            f"{path.name} cannot be opened: {one_line(error)}{cause}"
        ) from error
    if about["needs_dot_product"] and machine.lacks_dot_product():
        warnings.warn(DOUBT.format(file=path.name), RuntimeWarning, stacklevel=3)
    for variable in OTHER_PRECISION if name in OF_ONEDNN else ():
        if os.environ.get(variable, "0").upper() not in {"", "0", "STRICT"}:
            told = f"{variable} is set: float32 of {path.name} may be computed in another precision"
            warnings.warn(f"{told} than where it was packed; unset it", RuntimeWarning, 3)
    return OneProcess(runtime, runtime.metadata)


def require_hash(path: Path, expected: str) -> None:
    """Refuse a file that is not the one that was packed, before anything in it is executed."""
    try:
        found = sha256_of(path)
    except OSError as error:
        raise UnusableModelError(f"{path.name} cannot be read: {error}") from error
    if found != expected:
        raise UnusableModelError(
            f"{path.name} is not the file that was packed: its SHA-256 is {found}, and model.json "
            f"has {expected}{advice(path)}"
        )


def one_line(error: BaseException) -> str:
    return " ".join(f"{error}".split()) or type(error).__name__
