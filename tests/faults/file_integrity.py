"""Check that every file of a run folder is complete, by reading each kind as its users do."""

from __future__ import annotations

import gzip
import json
from collections.abc import Callable
from pathlib import Path

import numpy as np
import onnx
import torch
import yaml
from PIL import Image
from safetensors.torch import load_file


def broken_files(folder: Path) -> list[str]:
    """Return the incomplete files with the reason; temporary files are ignored."""
    problems = []
    for path in sorted(folder.rglob("*")):
        if not path.is_file() or is_unfinished(path.relative_to(folder)):
            continue
        try:
            _reader(path)(path)
        except Exception as error:
            problems.append(f"{path.relative_to(folder)}: {type(error).__name__}: {error}")
    return problems


def is_unfinished(path: Path) -> bool:
    """Return True for a hidden name: a file or folder that is still being written."""
    return any(part.startswith(".") for part in path.parts)


def _reader(path: Path) -> Callable[[Path], object]:
    if path.name.startswith("events.out.tfevents"):
        return _events
    readers: dict[str, Callable[[Path], object]] = {
        ".ckpt": lambda file: torch.load(file, weights_only=True),
        ".json": lambda file: json.loads(file.read_text()),
        ".yaml": lambda file: yaml.safe_load(file.read_text()),
        ".safetensors": load_file,
        ".onnx": lambda file: onnx.checker.check_model(onnx.load(file), full_check=True),
        ".pt": torch.jit.load,
        ".npz": lambda file: {name: value.sum() for name, value in np.load(file).items()},
        ".png": lambda file: Image.open(file).load(),
        ".gz": lambda file: json.loads(gzip.decompress(file.read_bytes())),
        ".html": lambda file: _ends_with(file, "</html>"),
        ".md": lambda file: _ends_with(file, ""),
        ".txt": lambda file: _ends_with(file, ""),
    }
    return readers[path.suffix]  # KeyError for a kind without a check


def _ends_with(path: Path, end: str) -> None:
    text = path.read_text(encoding="utf-8")
    if not text.strip() or not text.rstrip().endswith(end):
        raise ValueError("it has no end")


def _events(path: Path) -> None:
    """Read a TensorBoard file; readers ignore an incomplete last record, because it may grow."""
    from tensorboard.backend.event_processing.event_file_loader import LegacyEventFileLoader

    for _ in LegacyEventFileLoader(str(path)).Load():
        pass
