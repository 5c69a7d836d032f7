"""Answers that the program in a bundle gives, for files that no worker takes."""

from __future__ import annotations

import contextlib
import json
import subprocess
import sys
import tempfile
from collections.abc import Iterator, Mapping
from pathlib import Path

from src.errors import LightshipError

_ANSWER_SECONDS = 300.0  # limit of the program


@contextlib.contextmanager
def unpacked(contents: Mapping[str, bytes]) -> Iterator[Path]:
    """Yield a temporary folder with the files of a bundle, by their names."""
    with tempfile.TemporaryDirectory() as folder:
        for name, data in contents.items():
            path = Path(folder) / name
            path.parent.mkdir(exist_ok=True)
            path.write_bytes(data)
        yield Path(folder)


def probabilities(contents: Mapping[str, bytes], image: str, class_names: list[str]) -> list[float]:
    """Return the probability of each class, in label order, for an image file of the bundle.

    Args:
        contents: files of the bundle, by name.
        image: name of the image file among them.
        class_names: in label order.

    Raises:
        LightshipError: the program fails, or does not end.
    """
    with unpacked(contents) as folder:
        words = ("--json", "--top", str(len(class_names)), str(folder / image))
        try:
            ended = subprocess.run(
                [sys.executable, "-B", folder / "predict.py", *words],
                capture_output=True,
                encoding="utf-8",
                errors="replace",
                timeout=_ANSWER_SECONDS,
                check=False,
            )
        except subprocess.TimeoutExpired as error:
            raise LightshipError(f"predict.py: no answer within {_ANSWER_SECONDS:g} s") from error
    if ended.returncode != 0:
        raise LightshipError(f"predict.py: {' '.join(ended.stderr.split())[-300:]}")
    try:
        top = json.loads(ended.stdout.strip().rpartition("\n")[2])["top"]
        by_class = {entry["class"]: float(entry["probability"]) for entry in top}
        return [by_class[name] for name in class_names]
    except (ValueError, KeyError, TypeError) as error:
        raise LightshipError(
            f"predict.py: no probabilities in what it prints: {ended.stdout[-300:]!r}"
        ) from error
