"""Classify images with the model beside this file. requirements.txt has what it needs.

python predict.py IMAGE...     the likeliest classes of each image, or of those in a folder
python predict.py --check      does the model give here what it gave where it was made?
python predict.py --exam       the same on many images, with the speed here; also --exam --help
"""

from __future__ import annotations

import sys

if sys.version_info < (3, 10):  # noqa: UP036  # the oldest Python that knows what follows
    sys.exit(f"error: expected Python 3.10 or newer, found {sys.version.split()[0]}")

import argparse
import importlib
import json
import warnings
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import IO, TYPE_CHECKING, Any

try:
    import numpy as np
    from PIL import Image  # noqa: F401  # the modules beside this one need it
except ImportError as error:
    if __name__ != "__main__":
        raise
    reason = " ".join(f"{error}".split())[:300]
    sys.exit(f"error: {reason}, by {sys.executable}; pip install -r requirements.txt")

if __name__ == "__main__":
    sys.dont_write_bytecode = True  # this folder stays as it was signed
    sys.path.insert(0, str(Path(__file__).resolve().parent))  # python -P leaves it out

if TYPE_CHECKING or __package__:  # as a part of Lightship
    from .decoder_names import PLAIN
    from .predict_files import image_files
    from .predict_images import (
        MOST_PIXELS,
        UnreadableImageError,
        as_input,
        least_side,
        read_image,
        resize,
    )
    from .predict_opening import (
        AGAIN,
        UnusableModelError,
        chosen_decoder,
        description,
        expected_answer,
        open_runtime,
        preprocessing_of,
        read_json,
        require_decoder,
    )
    from .predict_threads import MEASURED, chosen_threads, default_threads
    from .terminal import ending_with_its_reader, in_utf8, visible
else:  # beside this file, in a bundle
    from decoder_names import PLAIN
    from predict_files import image_files
    from predict_images import (
        MOST_PIXELS,
        UnreadableImageError,
        as_input,
        least_side,
        read_image,
        resize,
    )
    from predict_opening import (
        AGAIN,
        UnusableModelError,
        chosen_decoder,
        description,
        expected_answer,
        open_runtime,
        preprocessing_of,
        read_json,
        require_decoder,
    )
    from predict_threads import MEASURED, chosen_threads, default_threads
    from terminal import ending_with_its_reader, in_utf8, visible

Array = np.ndarray[Any, np.dtype[Any]]
__all__ = ["Model", "UnreadableImageError", "UnusableModelError"]

HERE = Path(__file__).resolve().parent


class Model:
    """The model with its class names and its preprocessing.

    Both come from the file's own metadata. Where it has none, they come from ``class_names.json``
    and ``model.json``.

    Args:
        folder: of the unpacked bundle.
        most_pixels: limit of an image; a larger one is refused before it is decoded.
        decoder: of image files: ``pillow`` is the evaluation's, the others are faster for JPEG and
            some less exact; by default the one that this folder was made with.
        threads: of one operator; by default the runtime's own choice where this process may use
            all cores, else those of the measurement, and no more than it may use.

    Raises:
        UnusableModelError: the file is another one than was packed, or cannot run here.
    """

    def __init__(
        self,
        folder: str | Path = HERE,
        most_pixels: int = MOST_PIXELS,
        decoder: str | None = None,
        threads: int | None = None,
    ) -> None:
        folder = Path(folder)
        about = description(folder)
        self._most_pixels = most_pixels
        self._decoder = chosen_decoder(folder) if decoder is None else decoder
        require_decoder(self._decoder)
        self._runtime = open_runtime(folder, about, threads or default_threads(about["threads"]))
        metadata = self._runtime.metadata
        self.class_names: list[str] = metadata.get("class_names") or read_json(
            folder / "class_names.json", list
        )
        self._preprocessing = preprocessing_of(metadata, about)
        self.embedded = "preprocessing_embedded" in metadata  # a file with its preprocessing inside
        # Pixels as uint8 (H, W, 3), or normalised float32 (3, H, W).
        takes = metadata.get("input") or about["input"]
        self._takes_pixels = not takes["normalised"]
        self._one_at_a_time: bool = about["mixes_batch"]

    def probabilities(self, file: str | Path | bytes | IO[bytes]) -> Array:
        """Return the probability of each class, (K,), for an image file of any kind and size."""
        return np.asarray(self.answer([self.prepare(file)])[0])

    def prepare(self, file: str | Path | bytes | IO[bytes]) -> Array:
        """Return the model's input for an image file.

        Raises:
            UnreadableImageError: the file cannot be decoded.
        """
        rule = self._preprocessing
        at_least = None if self.embedded else least_side(self._decoder, rule)
        decoder = PLAIN if self.embedded else self._decoder
        image = read_image(file, self._most_pixels, at_least, decoder)
        if self.embedded:
            return np.asarray(image)
        resized = resize(image, rule)
        return as_input(resized, rule, takes_pixels=self._takes_pixels)

    def answer(self, images: Sequence[Array]) -> Array:
        """Return probabilities (n, K) for n prepared images.

        They are computed as one batch. A model with its preprocessing inside takes images of
        different sizes, one at a time, and so does one whose answers depend on the whole batch.

        Raises:
            ValueError: the model gives anything else, such as NaN.
        """
        if self.embedded:
            classes = len(self.class_names)
            answers = [require_answer(self._runtime(image)[None], 1, classes) for image in images]
            return np.concatenate(answers)
        return softmax(self.logits(images))

    def logits(self, images: Sequence[Array]) -> Array:
        """Return logits (n, K): see :meth:`answer`; logarithms where the model has a softmax."""
        if self.embedded:
            return np.log(np.maximum(self.answer(images), np.finfo(np.float32).tiny))
        if self._one_at_a_time and len(images) > 1:
            return np.concatenate([self.logits([image]) for image in images])
        answer = self._runtime(np.stack(images))
        return require_answer(answer, len(images), len(self.class_names))

    def call(self, images: Sequence[Array]) -> Callable[[], object]:
        """Return the call of the runtime alone, as a measurement times it."""
        given = images[0] if self.embedded else np.stack(images)
        return lambda: self._runtime(given)


def softmax(logits: Array) -> Array:
    """Return the probabilities of logits (n, K)."""
    exponentials = np.exp(logits - logits.max(axis=1, keepdims=True))
    return np.asarray(exponentials / exponentials.sum(axis=1, keepdims=True))


def likeliest(probabilities: Array, count: int) -> list[int]:
    """Return the ``count`` likeliest classes of one image, (K,), the likeliest first."""
    best: list[int] = np.argsort(-probabilities, kind="stable")[:count].tolist()
    return best


def require_answer(answer: Array, images: int, classes: int) -> Array:
    """Return the model's answer in float64, (n, K).

    Raises:
        ValueError: it does not hold one finite number for each image and class.
    """
    if answer.dtype.kind != "f":
        raise ValueError(f"an answer of {answer.dtype} instead of floating-point logits")
    if answer.shape != (images, classes):
        raise ValueError(f"logits of shape {list(answer.shape)} instead of [{images}, {classes}]")
    wide: Array = answer.astype(np.float64)
    wrong = int((~np.isfinite(wide)).any(axis=1).sum())
    if wrong:
        raise ValueError(f"logits of {wrong} images are not finite")
    return wide


def check(model: Model) -> str | None:
    """Return the reason why this model fails its test on this machine, or None."""
    expected = expected_answer(HERE, len(model.class_names))
    try:
        probabilities = model.probabilities(HERE / expected["image"])
    except ValueError as error:
        return f"{expected['image']}: {error}"
    difference = float(np.abs(probabilities - np.asarray(expected["probabilities"])).max())
    best = model.class_names[int(probabilities.argmax())]
    print(f"{expected['image']}: {best}, probabilities within {difference:.2g} of the expected")
    if best != expected["class"]:
        return f"expected the class {expected['class']}"
    if difference > expected["tolerance"]:
        return f"expected a difference of {expected['tolerance']} at most"
    return None


def _take_exam() -> None:
    if not (HERE / "exam.py").is_file():  # the folder exam/ would be imported instead
        sys.exit(f"error: exam.py is missing; {AGAIN}")
    try:
        program = importlib.import_module("exam")
    except ImportError as error:
        sys.exit(f"error: {error}; {AGAIN}")
    program.main()


def main() -> None:
    if "--exam" in sys.argv[1:]:
        _take_exam()
        return
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("images", nargs="*", metavar="IMAGE", help="a file, or a folder of them")
    parser.add_argument("--check", action="store_true", help="try the image that came with it")
    parser.add_argument("--top", type=int, default=5, help="classes to name for each image")
    parser.add_argument("--json", action="store_true", help="a line of JSON for each image")
    parser.add_argument(
        "--threads",
        type=chosen_threads,
        metavar="N",
        help=f"threads of the runtime, or {MEASURED}: as many as in the measurement; without it "
        f"the runtime chooses, or takes those of {MEASURED} where not all cores may be used",
    )
    arguments = parser.parse_args()
    if not arguments.images and not arguments.check:
        parser.error("name an image, or --check")
    if arguments.top < 1:
        parser.error(f"argument --top: expected a number from 1 on, found {arguments.top}")
    with ending_with_its_reader():
        _answer(arguments)


def _answer(arguments: argparse.Namespace) -> None:
    """Check the model if that is asked for, and print a line for each image."""
    try:
        with warnings.catch_warnings(record=True) as doubts:
            model = Model(threads=arguments.threads)
        for doubt in doubts:
            print(visible(f"warning: {doubt.message}"), file=sys.stderr)
        problem = check(model) if arguments.check else None
    except UnusableModelError as error:
        sys.exit(f"error: {error}")
    if problem:
        sys.exit(f"error: {problem}")
    unanswered = 0
    for path, absent in image_files(arguments.images):
        try:
            if absent:
                raise UnreadableImageError(absent)
            probabilities = model.probabilities(path)
        except (ValueError, MemoryError) as error:  # of this image or its answer
            print(visible(f"error: {path}: {error}"), file=sys.stderr)
            unanswered += 1
            continue
        best = likeliest(probabilities, arguments.top)
        top = [(model.class_names[index], float(probabilities[index])) for index in best]
        if arguments.json:
            named = [{"class": name, "probability": value} for name, value in top]
            print(json.dumps({"image": in_utf8(path), "top": named}))
        else:
            answer = ", ".join(f"{name} {value:.2%}" for name, value in top)
            print(visible(f"{path}: {answer}"))
    if unanswered:
        sys.exit(1)


if __name__ == "__main__":
    main()
