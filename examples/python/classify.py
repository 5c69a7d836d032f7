"""An ONNX file with its preprocessing inside, from Python without PyTorch.

python -m src.export RUN formats=[onnx_fp32] embed_preprocessing=true
python examples/python/classify.py RUN/exports/onnx_fp32_embedded/model.onnx IMAGE...

An image that cannot be read is a line on standard error, and the exit code is 1.
"""

from __future__ import annotations

import contextlib
import importlib
import json
import math
import os
import platform
import sys
from pathlib import Path
from typing import Any

import numpy as np
import onnxruntime as ort
from PIL import Image

ROOT = Path("/")
# Formats whose header bounds their pixels, as in training. Others start programs, such as EPS.
DECODED = {
    *("AVIF", "BMP", "DDS", "DIB", "GIF", "HEIF", "JPEG", "JPEG2000", "PCX", "PNG", "PPM"),
    *("PSD", "QOI", "SGI", "SUN", "TGA", "TIFF", "WEBP"),
}
MOST_PIXELS, LONGEST_SIDE = 178_956_970, 1 << 20  # limits against decompression bombs
ORIENTATION = 0x0112  # the EXIF tag
UPRIGHT = {
    2: Image.Transpose.FLIP_LEFT_RIGHT,
    3: Image.Transpose.ROTATE_180,
    4: Image.Transpose.FLIP_TOP_BOTTOM,
    5: Image.Transpose.TRANSPOSE,
    6: Image.Transpose.ROTATE_270,
    7: Image.Transpose.TRANSVERSE,
    8: Image.Transpose.ROTATE_90,
}


def upright_rgb(path: str) -> Image.Image:
    """The picture in a file as training sees it: upright, RGB of 8 bits, without its alpha."""
    with contextlib.suppress(ImportError):  # pictures of phones, where the package is installed
        importlib.import_module("pillow_heif").register_heif_opener()
    Image.init()
    with Image.open(path, formats=[name for name in Image.ID if name in DECODED]) as file:
        if math.prod(file.size) > MOST_PIXELS or max(file.size) > LONGEST_SIDE:
            raise ValueError(f"{file.size} pixels, more than {MOST_PIXELS} or {LONGEST_SIDE} long")
        file.load()
        turn = None
        with contextlib.suppress(Exception):  # damaged EXIF data; the pixels are sound
            turn = UPRIGHT.get(file.getexif().get(ORIENTATION))
        picture = file.copy() if turn is None else file.transpose(turn)
    if picture.mode == "F":
        raise ValueError("floating-point pixels")
    if picture.mode.startswith("I"):  # 16 bits, which Pillow would clip to 8
        values = np.asarray(picture)
        if values.min() < 0 or values.max() > np.iinfo(np.uint16).max:
            raise ValueError("pixels beyond 16 bits")
        picture = Image.fromarray(np.round(values / 257).astype(np.uint8))
    return picture.convert("RGBA").convert("RGB")  # a palette needs both


def usable_cores() -> int:
    """The cores that this process may use, by its affinity and the quota of its container."""
    affinity = getattr(os, "sched_getaffinity", None)  # Linux has it
    cores = len(affinity(0)) if affinity else os.cpu_count() or 1
    with contextlib.suppress(OSError, ValueError):  # there is no quota
        quota, period = (ROOT / "sys/fs/cgroup/cpu.max").read_text(encoding="utf-8").split()
        cores = max(1, min(cores, math.ceil(int(quota) / int(period))))
    return cores


def may_saturate() -> bool:
    """True if sums of int8 could be wrong: on x86 that is not known to have an int8 dot product."""
    cpuinfo = ROOT / "proc/cpuinfo"
    flags = set(cpuinfo.read_bytes().split()) if cpuinfo.exists() else set()
    is_x86 = platform.machine() in {"x86_64", "AMD64", "i686", "x86"}
    return is_x86 and not flags & {b"avx512_vnni", b"avx_vnni", b"amx_int8"}


def options() -> ort.SessionOptions:
    """The options by which a bundle's predict.py opens a file."""
    chosen = ort.SessionOptions()
    if may_saturate():  # sums of 32 bits, which are slower
        chosen.add_session_config_entry("session.x64quantprecision", "1")
    if usable_cores() < (os.cpu_count() or 1):  # it would go by the cores of the machine
        chosen.intra_op_num_threads = usable_cores()
        chosen.inter_op_num_threads = 1
    return chosen


def opened(model: str) -> ort.InferenceSession:
    """The session of a file with its preprocessing inside; ends the program without one."""
    try:
        session = ort.InferenceSession(model, options(), providers=["CPUExecutionProvider"])
    except Exception as error:  # ONNX Runtime has a kind of error for each cause
        sys.exit(f"error: {model} cannot be opened: {' '.join(str(error).split())}")
    if [value.name for value in session.get_inputs()] != ["image"]:
        sys.exit(f"error: {model}: expected a file with its preprocessing inside; see the head")
    return session


def answer(session: ort.InferenceSession, class_names: list[str], path: str) -> dict[str, Any]:
    """The class and the probabilities of the picture in a file."""
    probabilities = session.run(["probabilities"], {"image": np.asarray(upright_rgb(path))})[0]
    if not np.isfinite(probabilities).all():
        raise ValueError("the model gives no finite probabilities")
    best = class_names[int(probabilities.argmax())]
    return {"image": path, "class": best, "probabilities": probabilities.tolist()}


def main() -> None:
    if not sys.argv[2:]:
        sys.exit("error: expected a model and images; python classify.py MODEL IMAGE...")
    model, *paths = sys.argv[1:]
    session = opened(model)
    class_names = json.loads(session.get_modelmeta().custom_metadata_map["class_names"])
    failed = 0
    for path in paths:
        try:
            line = json.dumps(answer(session, class_names, path))
        except Exception as error:  # decoders raise whatever a damaged file leads them to
            print(f"{path}: {' '.join(str(error).split())}", file=sys.stderr)
            failed += 1
            continue
        print(line, flush=True)
    if failed:
        sys.exit(1)


if __name__ == "__main__":
    main()
