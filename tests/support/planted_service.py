"""The HTTP example with a planted model: slow by intention, and with an image that it cannot take.

python planted_service.py PORT FIELD=VALUE...

It is run in a folder that has ``settings.py`` and ``predict.py`` on its path.
"""

from __future__ import annotations

import dataclasses
import sys
import time
from typing import Any

import numpy as np
from PIL import Image

BAD = (255, 0, 0)  # the colour of an image that the model has no answer for
LARGE = (0, 255, 0)  # the colour of an image for which there is no memory
SECONDS = 0.15  # of a batch


class Model:
    """A model that takes some time, and raises an error for red images and for green ones."""

    class_names = ("dark", "light")

    def prepare(self, file: Any) -> Any:
        from predict import read_image

        image = read_image(file, 1_000_000)
        if image.getpixel((0, 0)) == LARGE:
            raise MemoryError
        return np.asarray(image.resize((2, 2)), np.float64).mean(axis=(0, 1))

    def answer(self, images: Any) -> Any:
        time.sleep(SECONDS)
        if any(tuple(np.round(image)) == BAD for image in images):
            raise RuntimeError("no answer for red")
        light = np.array([image.mean() / 255 for image in images])
        return np.stack([1 - light, light], axis=1)


def png(colour: tuple[int, int, int], side: int = 8) -> bytes:
    import io

    file = io.BytesIO()
    Image.new("RGB", (side, side), colour).save(file, "PNG")
    return file.getvalue()


def main() -> None:
    from service import Service, serve
    from settings import Settings

    kinds = {
        field.name: type(getattr(Settings(), field.name)) for field in dataclasses.fields(Settings)
    }
    words = dict(word.split("=") for word in sys.argv[2:])
    settings = Settings(**{name: kinds[name](text) for name, text in words.items()})
    serve(Service(lambda: [Model()] * settings.streams, settings), int(sys.argv[1]))


if __name__ == "__main__":
    main()
