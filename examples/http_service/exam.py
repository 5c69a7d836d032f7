"""Take the exam of a bundle through its HTTP service: does it answer as the file did at home?

BUNDLE=model python examples/http_service/service.py --port 8000
python examples/http_service/exam.py http://127.0.0.1:8000 model

It sends the images of the exam one after the other, and compares the classes and probabilities with
those of where the bundle was packed. It needs numpy and the unpacked bundle, and measures no speed.
The exit code is 1 if a probability differs by more than another processor explains, or if an image
gets no answer.
"""

from __future__ import annotations

import argparse
import http.client
import importlib
import json
import sys
import urllib.error
import urllib.parse
import urllib.request
from collections.abc import Iterator
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np

SECONDS = 60.0  # limit of one answer
MOST_BYTES = 1_000_000  # of one answer
Answer = dict[str, float]  # probabilities by class, the likeliest first


class WrongAnswerError(Exception):
    """Nothing to ask, no answer, or one that cannot be compared: told in one line."""


class Compared(NamedTuple):
    """The answers of the service beside those of home."""

    flips: int
    right: int  # images
    difference: float  # of a probability, the largest


def main() -> None:
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("url", metavar="URL", type=_url, help="of the service, without a path")
    parser.add_argument("bundle", metavar="BUNDLE", type=Path, help="folder of the unpacked bundle")
    options = parser.parse_args()
    exam_files, accuracy, terminal = _modules_of(options.bundle.resolve())
    terminal.accept_every_character()
    opener = _opener_of(options.url)
    try:
        exam = exam_files.read(options.bundle)
        answers = [_ask(opener, options.url, content) for content in _files(exam)]
        compared = _compare(exam, answers, accuracy)
    except (exam_files.ExamError, WrongAnswerError) as error:
        sys.exit(f"error: {error}")
    for line in _lines(exam, compared, accuracy):
        print(terminal.visible(line))
    if compared.difference > exam.tolerance:
        sys.exit(
            f"error: a probability differs by {compared.difference:.2g} from that of where the "
            f"model was packed, {exam.tolerance:g} is due; {compared.flips} of {len(answers)} "
            "answers flip"
        )


def _url(text: str) -> str:
    try:
        host = urllib.parse.urlsplit(text).hostname
    except ValueError:  # half of an address in brackets
        host = None
    if not host or not text.startswith(("http://", "https://")):
        raise argparse.ArgumentTypeError(
            f"expected an address as http://127.0.0.1:8000, found {text!r}"
        )
    return text.rstrip("/")


def _modules_of(bundle: Path) -> list[Any]:
    """Import the bundle's own reader of exams, its statistics, and its rule for printed names."""
    sys.dont_write_bytecode = True  # no file may be added to a signed bundle
    sys.path.insert(0, str(bundle))
    try:
        return [importlib.import_module(name) for name in ("exam_files", "accuracy", "terminal")]
    except ModuleNotFoundError as error:
        sys.exit(
            f"error: BUNDLE: expected the folder of an unpacked bundle with an exam, found "
            f"{bundle} ({error}); unzip one that is packed with exam=64"
        )


def _files(exam: Any) -> Iterator[tuple[str, bytes]]:
    """Yield the names and contents of the images.

    Raises:
        WrongAnswerError: there are none.
    """
    if not exam.images:
        raise WrongAnswerError(
            "BUNDLE: expected an exam with image files, found arrays; pack it with "
            "exam_content=images"
        )
    yield from zip(exam.images, exam.contents(), strict=True)


def _opener_of(url: str) -> urllib.request.OpenerDirector:
    """Return the opener of addresses of a service.

    A proxy that the environment names is not asked for this machine: it would ask its own.
    """
    host = urllib.parse.urlsplit(url).hostname or ""
    is_here = host in {"localhost", "::1"} or host.startswith("127.")
    return urllib.request.build_opener(*([urllib.request.ProxyHandler({})] if is_here else []))


def _ask(
    opener: urllib.request.OpenerDirector, url: str, file: tuple[str, bytes]
) -> tuple[str, Answer]:
    """Return the name of an image and the answer of the service.

    Raises:
        WrongAnswerError: there is none.
    """
    name, content = file
    request = urllib.request.Request(f"{url}/classify", content)  # noqa: S310  # http or https
    try:
        with opener.open(request, timeout=SECONDS) as answer:
            top = json.loads(answer.read(MOST_BYTES))["top"]
        return name, {str(one["class"]): float(one["probability"]) for one in top}
    except urllib.error.HTTPError as error:
        detail = " ".join(error.read(MOST_BYTES).decode(errors="replace").split())[:200]
        raise WrongAnswerError(
            f"{name}: expected an answer, found {error.code}: {detail}"
        ) from error
    except OSError as error:
        raise WrongAnswerError(
            f"URL: expected a service, found {url} ({error}); start it, or name another address"
        ) from error
    except (http.client.HTTPException, ValueError, LookupError, TypeError) as error:
        raise WrongAnswerError(
            f"URL: expected the likeliest classes of {name}, found something else at "
            f"{url}/classify; name the address of examples/http_service"
        ) from error


def _compare(exam: Any, answers: list[tuple[str, Answer]], accuracy: Any) -> Compared:
    """Compare the answers with those of home, each probability that the service names.

    Raises:
        WrongAnswerError: an answer has a class that the exam does not have, or none.
    """
    indices = {name: index for index, name in enumerate(exam.class_names)}
    home = np.exp(accuracy.log_softmax(exam.answers))  # (n, K)
    flips = right = 0
    difference = 0.0
    for row, label, (name, answer) in zip(home, exam.labels, answers, strict=True):
        unknown = [named for named in answer if named not in indices]
        if unknown or not answer:
            found = repr(unknown[0]) if unknown else "no class"
            raise WrongAnswerError(
                f"{name}: expected classes of the exam, found {found}; the service has another "
                "model than this bundle"
            )
        best = indices[max(answer, key=lambda named: answer[named])]
        flips += best != row.argmax()
        right += best == label
        distances = [abs(value - row[indices[named]]) for named, value in answer.items()]
        # A probability that is no number is no small difference.
        difference = max(difference, *(np.nan_to_num(distances, nan=1.0)))
    return Compared(int(flips), int(right), float(difference))


def _lines(exam: Any, compared: Compared, accuracy: Any) -> Iterator[str]:
    images = len(exam.labels)
    low, high = (100 * min(1.0, max(0.0, end)) for end in accuracy.wilson(compared.flips, images))
    there = float((exam.answers.argmax(axis=1) == exam.labels).mean())
    yield f"exam: {exam.format} of {exam.run}, {images} images of {exam.dataset}, by the service"
    yield (
        f"answers: {compared.flips} of {images} flip against those of where it was packed, "
        f"{100 * compared.flips / images:.1f} % [{low:.1f}, {high:.1f}]"
    )
    yield (
        f"probabilities: largest difference {compared.difference:.2g}, {exam.tolerance:g} is due"
    )
    yield f"top-1: {100 * compared.right / images:.2f} % here, {100 * there:.2f} % there"
    is_due = compared.difference <= exam.tolerance
    yield f"result: {'holds' if is_due else 'DOES NOT HOLD'} in the service"


if __name__ == "__main__":
    main()
