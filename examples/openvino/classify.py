"""An OpenVINO file from OpenVINO, without PyTorch.

python -m src.export RUN formats=[openvino_fp32]              or with input=uint8
python examples/openvino/classify.py RUN/exports/openvino_fp32/model.xml IMAGE...

An image that cannot be read is a line on standard error, and the exit code is 1.

To ship the file with a program that checks its input, its answers and itself, pack it:
python -m src.bundle RUN --format openvino_fp32 -o model.zip
"""

from __future__ import annotations

import contextlib
import importlib
import json
import math
import os
import sys
from pathlib import Path
from typing import Any

import numpy as np
from PIL import Image

# Else OpenVINO reports its use over the network, and waits for it, where that package is installed.
sys.modules.setdefault("openvino_telemetry", None)  # type: ignore[arg-type]
import openvino as ov  # noqa: E402  # after that line

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


def resize(picture: Image.Image, rule: dict[str, Any]) -> Image.Image:
    """Resize and cut the middle out, as the file's metadata say."""
    size = rule["image_size"]
    resampling = Image.Resampling[rule["interpolation"].upper()]
    if rule["resize"] == "squash":
        return picture.resize((size, size), resampling)
    # The ends of a very long picture are far from the middle: they are left out.
    to, shorter = round(size / rule["crop_share"]), min(picture.size)
    left, top = (
        max(side - 32 * shorter, 0) // (4 * shorter) * (2 * shorter) for side in picture.size
    )
    picture = picture.crop((left, top, picture.width - left, picture.height - top))
    width, height = (int(to * side / shorter) for side in picture.size)
    picture = picture.resize((width, height), resampling)
    left, top = round((width - size) / 2), round((height - size) / 2)
    return picture.crop((left, top, left + size, top + size))


def normalise(picture: Image.Image, rule: dict[str, Any]) -> np.ndarray:
    """A resized picture, scaled and normalised: (3, H, W)."""
    values = np.asarray(picture, np.float32) * np.float32(rule["scale"])
    mean, std = (np.asarray(rule[name], np.float32) for name in ("mean", "std"))
    return ((values - mean) / std).transpose(2, 0, 1)  # (3, H, W)


def opened(path: str) -> tuple[Any, dict[str, Any], list[str], bool]:
    """The compiled file, its preprocessing, its classes, and if it takes pixels; or the end."""
    core = ov.Core()
    try:
        model = core.read_model(path)
        rule = json.loads(model.get_rt_info(["lightship", "preprocessing"]).value)
        class_names = json.loads(model.get_rt_info(["lightship", "class_names"]).value)
        precision = model.get_rt_info(["lightship", "inference_precision"]).value
    except Exception as error:  # of OpenVINO, or of another file's metadata
        sys.exit(f"error: {path} cannot be opened: {' '.join(str(error).split())}")
    # OpenVINO would run a file of fp32 in bf16 if the processor has it, and emulate bf16 elsewhere.
    if "BF16" not in core.get_property("CPU", "OPTIMIZATION_CAPABILITIES"):
        precision = "f32"
    options: dict[str, Any] = {"INFERENCE_PRECISION_HINT": precision}
    if usable_cores() < (os.cpu_count() or 1):  # it would go by the cores of the machine
        options["INFERENCE_NUM_THREADS"] = usable_cores()
        options["ENABLE_HYPER_THREADING"] = True  # else it leaves out a core's second thread
        options["ENABLE_CPU_PINNING"] = False  # else each process takes the first cores
    takes_pixels = model.input(0).element_type == ov.Type.u8  # or normalised float32
    sides = [rule["image_size"], rule["image_size"]]
    # Faster than any batch size.
    model.reshape([1, *sides, 3] if takes_pixels else [1, 3, *sides])
    return core.compile_model(model, "CPU", options), rule, class_names, takes_pixels


def probabilities_of(logits: np.ndarray) -> np.ndarray:
    """The softmax of the logits of one image."""
    if not np.isfinite(logits).all():
        raise ValueError("the model gives no finite logits")
    exponentials = np.exp(logits - logits.max())
    return np.asarray(exponentials / exponentials.sum())


def main() -> None:
    if not sys.argv[2:]:
        sys.exit("error: expected a model and images; python classify.py MODEL IMAGE...")
    path, *images = sys.argv[1:]
    compiled, rule, class_names, takes_pixels = opened(path)
    failed = 0
    for image in images:
        try:
            resized = resize(upright_rgb(image), rule)
            batch = (np.asarray(resized) if takes_pixels else normalise(resized, rule))[None]
            probabilities = probabilities_of(compiled(batch)[0][0].astype(np.float64))
        except Exception as error:  # decoders raise whatever a damaged file leads them to
            print(f"{image}: {' '.join(str(error).split())}", file=sys.stderr)
            failed += 1
            continue
        answer = {
            "image": image,
            "class": class_names[int(probabilities.argmax())],
            "probabilities": probabilities.tolist(),
        }
        print(json.dumps(answer), flush=True)
    if failed:
        sys.exit(1)


if __name__ == "__main__":
    main()
