"""An ONNX file with its preprocessing inside, from Python without PyTorch.

python -m src.export RUN formats=[onnx_fp32] embed_preprocessing=true
python examples/python/classify.py RUN/exports/onnx_fp32_embedded/model.onnx IMAGE...
"""

from __future__ import annotations

import json
import sys

import numpy as np
import onnxruntime as ort
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


if not sys.argv[2:]:
    sys.exit("error: expected a model and images; python classify.py MODEL IMAGE...")
model, *paths = sys.argv[1:]
session = ort.InferenceSession(model, providers=["CPUExecutionProvider"])
class_names = json.loads(session.get_modelmeta().custom_metadata_map["class_names"])
for path in paths:
    try:
        picture = upright_rgb(path)
    except Exception as error:  # decoders raise whatever a damaged file leads them to
        print(f"{path}: {error}", file=sys.stderr)
        continue
    probabilities = session.run(["probabilities"], {"image": np.asarray(picture)})[0]
    answer = {
        "image": path,
        "class": class_names[int(probabilities.argmax())],
        "probabilities": probabilities.tolist(),
    }
    print(json.dumps(answer))
