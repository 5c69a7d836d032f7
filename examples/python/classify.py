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

model, *paths = sys.argv[1:]
session = ort.InferenceSession(model, providers=["CPUExecutionProvider"])
class_names = json.loads(session.get_modelmeta().custom_metadata_map["class_names"])
for path in paths:
    try:
        with Image.open(path) as file:
            picture = ImageOps.exif_transpose(file).convert("RGB")  # upright
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
