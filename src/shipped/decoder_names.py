"""Names of the decoders of image files, and the packages that they come from."""

from __future__ import annotations

PLAIN = "pillow"  # the evaluation's
DRAFT = "pillow_draft"  # libjpeg decodes a large JPEG at a fraction of its size
SIMPLEJPEG, OPENCV, TORCHVISION = "simplejpeg", "opencv", "torchvision"

DECODERS = (PLAIN, DRAFT, SIMPLEJPEG, OPENCV, TORCHVISION)
SCALING = {DRAFT, SIMPLEJPEG, OPENCV}  # that decode a large JPEG at a fraction of its size

# The package that a decoder needs besides Pillow: its names for import and for pip.
PACKAGES = {
    SIMPLEJPEG: ("simplejpeg", "simplejpeg"),
    OPENCV: ("cv2", "opencv-python-headless"),
    TORCHVISION: ("torchvision", "torchvision"),
}
# The package that the model's runtime has to import as well: it is too large for a decoder alone.
WITH_RUNTIME = {TORCHVISION: "torch"}
