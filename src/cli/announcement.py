"""Lines that a training prints before its first step."""

from __future__ import annotations

from src.models.classifier import Classifier
from src.models.network import count
from src.system.console import open_console


def announce(model: Classifier, input_shape: tuple[int, ...], precision: object) -> None:
    """Print the size of a model, its number of classes and the precision of training.

    Args:
        model: the model.
        input_shape: (channels, height, width).
        precision: as the Trainer names it.
    """
    complexity = count(model.network, input_shape)
    open_console().print(
        f"{model.name}: {complexity.parameters / 1e6:.2f} M parameters, "
        f"{complexity.macs / 1e9:.3f} GMACs for {input_shape[1]}x{input_shape[2]} pixels, "
        f"{len(model.class_names)} classes; precision {precision}",
        soft_wrap=True,
    )


def announce_loaded_weights(model: Classifier) -> None:
    """Print which weights were loaded into a model, if any were."""
    match = model.weight_match
    for line in match.lines() if match else []:
        open_console().print(line, soft_wrap=True, markup=False)
