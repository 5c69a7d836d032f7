"""Content of a small checkpoint, and its bytes."""

from __future__ import annotations

import io
from typing import Any

import torch

from src.models.network import NetworkSpec


def checkpoint_content() -> dict[str, Any]:
    """Return the content of a checkpoint whose weights take a few bytes."""
    return {
        "epoch": 3,
        "global_step": 12,
        "state_dict": {"network.fc.weight": torch.ones(2, 3), "network.fc.bias": torch.ones(2)},
        "lightship": {
            "model": "resnet18",
            "network": NetworkSpec("shufflenet_v2_x0_5", 2).to_dict(),
            "class_names": ["cat", "dog"],
            "pretrained": False,
        },
        "loops": {"fit_loop": {"state_dict": {}, "epoch_progress": {"total": {"ready": 3}}}},
    }


def checkpoint_bytes(content: Any) -> bytes:
    file = io.BytesIO()
    torch.save(content, file)
    return file.getvalue()
