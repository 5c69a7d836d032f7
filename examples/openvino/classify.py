"""An OpenVINO file from OpenVINO, without PyTorch.

python -m src.export RUN formats=[openvino_fp32]              or with input=uint8
python examples/openvino/classify.py RUN/exports/openvino_fp32/model.xml IMAGE...

To ship the file with a program that checks its input, its answers and itself, pack it:
python -m src.bundle RUN --format openvino_fp32 -o model.zip
"""

from __future__ import annotations

import json
import sys
from typing import Any

import numpy as np
import openvino as ov
from PIL import Image, ImageOps


def upright_rgb(path: str) -> Image.Image:
    """The picture in a file as training sees it: upright, RGB of 8 bits, without its alpha."""
    with Image.open(path) as file:
        picture = ImageOps.exif_transpose(file)
    if picture.mode in {"I", "F"}:
        raise ValueError("32 bits a pixel, whose range is not known")
    if picture.mode.startswith("I;16"):
        picture = Image.fromarray(np.round(np.asarray(picture) / 257).astype(np.uint8))
    return picture.convert("RGBA").convert("RGB")  # a palette needs both


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


if not sys.argv[2:]:
    sys.exit("error: expected a model and images; python classify.py MODEL IMAGE...")
path, *images = sys.argv[1:]
core = ov.Core()
model = core.read_model(path)
rule = json.loads(model.get_rt_info(["lightship", "preprocessing"]).value)
class_names = json.loads(model.get_rt_info(["lightship", "class_names"]).value)
# Where the processor has bf16, OpenVINO would run a file of fp32 in it.
precision = model.get_rt_info(["lightship", "inference_precision"]).value
pixels = model.input(0).element_type == ov.Type.u8  # or normalised float32
sides = [rule["image_size"], rule["image_size"]]
model.reshape([1, *sides, 3] if pixels else [1, 3, *sides])  # faster than any batch size
compiled = core.compile_model(model, "CPU", {"INFERENCE_PRECISION_HINT": precision})
for image in images:
    try:
        picture = upright_rgb(image)
    except Exception as error:  # decoders raise whatever a damaged file leads them to
        print(f"{image}: {error}", file=sys.stderr)
        continue
    resized = resize(picture, rule)
    batch = np.asarray(resized)[None] if pixels else normalise(resized, rule)[None]
    logits = compiled(batch)[0][0].astype(np.float64)
    probabilities = np.exp(logits - logits.max())
    probabilities /= probabilities.sum()
    answer = {
        "image": image,
        "class": class_names[int(probabilities.argmax())],
        "probabilities": probabilities.tolist(),
    }
    print(json.dumps(answer))
