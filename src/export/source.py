"""Makes the export source from a checkpoint: a fresh network with the best weights."""

from __future__ import annotations

import dataclasses
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import torch
from torch import Tensor, nn

from src.backends.base import ExportSource, TwinGraph
from src.backends.onnx.fp32_graph import Fp32Graph
from src.errors import UsageError, describe
from src.export.options import ExportOptions
from src.graph_passes import simplify
from src.models import altered_network, builders
from src.models.network import NetworkSpec
from src.run import class_names
from src.run.facts import PreprocessingFacts
from src.run.file_input import BatchMaker
from src.shipped import lfs_pointer
from src.system import atomic_files

_SHOWN = 10  # classes, in a message
_COMPARED = 4  # images on which the rewritten network is compared with the trained one
_MOST_SHOWN = 300  # characters of an alteration


@dataclass(frozen=True)
class Checkpoint:
    """The content of a checkpoint of Lightship, read without unpickling anything but tensors."""

    path: Path
    sha256: str
    epoch: int
    model: str  # the architecture: the name of its module in src/models
    spec: NetworkSpec
    class_names: list[str]
    weights: dict[str, Tensor]
    pretrained: bool | None = None  # it began with published weights; None if that is unknown
    has_training_state: bool = False  # of the optimizer, to go on from
    alteration: str = ""  # of its network, which is not the one that ``spec`` builds

    @classmethod
    def read(cls, path: Path) -> Checkpoint:
        """Read the checkpoint in ``path``.

        Raises:
            UsageError: it is not a checkpoint of Lightship, or it is damaged.
        """
        try:
            content = torch.load(path, map_location="cpu", weights_only=True)
            ours = content["lightship"]
            names = _names(ours["class_names"])
            return cls(
                path=path,
                sha256=atomic_files.sha256(path),
                epoch=int(content["epoch"]),
                model=str(ours["model"]),
                spec=NetworkSpec.from_dict(ours["network"], len(names)),
                class_names=names,
                weights={
                    name.removeprefix(altered_network.PREFIX): value
                    for name, value in content["state_dict"].items()
                    if name.startswith(altered_network.PREFIX)
                },
                pretrained=ours.get("pretrained"),
                has_training_state="optimizer_states" in content,
                alteration=str(ours.get("alteration", ""))[:_MOST_SHOWN],
            )
        except Exception as error:  # the unpickler raises whatever a damaged file leads it to
            raise UsageError(
                str(path),
                expected="a whole checkpoint that Lightship wrote",
                found=f"{describe(error)}{lfs_pointer.advice(path)}",
                remedy="name another checkpoint or train again",
            ) from error

    def require_for(self, spec: NetworkSpec, names: list[str]) -> None:
        """Refuse it for another network or other classes: training could not continue from it.

        Raises:
            UsageError: it is of another one, or its weights do not fit.
        """
        if (self.spec.builder, self.class_names) != (spec.builder, names):
            raise UsageError(
                "ckpt_path",
                expected=f"a checkpoint of {_described(spec, names)}",
                found=f"{self.path}, one of {_described(self.spec, self.class_names)}",
                remedy="name another, or begin with its weights by model.weights=PATH",
            )
        dataclasses.replace(self, spec=spec).network()

    def require_unaltered(self) -> None:
        """Refuse weights of a network that a subclass of the classifier changed.

        Raises:
            UsageError: the network that the checkpoint names is another one.
        """
        if self.alteration:
            raise altered_network.refusal(
                self.spec.builder, f"{self.path}, where {self.alteration}", ", and train again"
            )

    def network(self) -> nn.Module:
        """Build a fresh network with these weights: eval mode, CPU, fp32, no hooks.

        Raises:
            UsageError: the weights do not fit the network that the checkpoint names.
        """
        try:
            # Checked on an outline first: building a network of the wrong size costs memory.
            builders.require_weights_of(self.spec.outline(), self.weights)
            network = self.spec.build()
            builders.load_weights(network, self.weights)
        except (RuntimeError, ValueError, TypeError) as error:
            raise UsageError(
                str(self.path),
                expected=f"the weights of {self.spec.builder} with {self.spec.num_classes} classes",
                found=describe(error)[:300],
                remedy="name another checkpoint or train again",
            ) from error
        return network.float().eval()


def read_progress(path: Path) -> tuple[int, float]:
    """Return the whole epochs behind a checkpoint, and the best score of its run so far.

    Raises:
        UsageError: it is not a checkpoint of Lightship, it is damaged, or it has no score.
    """
    try:
        # Memory-mapped: the weights stay on disk.
        content = torch.load(path, map_location="cpu", weights_only=True, mmap=True)
        # "epoch" is that of a step within an epoch, too. This one counts whole epochs.
        epochs = content["loops"]["fit_loop"]["epoch_progress"]["current"]["processed"]
        return int(epochs), float(content["callbacks"]["BestCheckpoint"]["score"])
    except Exception as error:  # the unpickler raises whatever a damaged file leads it to
        raise UsageError(
            str(path),
            expected="a whole checkpoint of a training with validation",
            found=describe(error),
            remedy="remove its folder, so that it is trained again",
        ) from error


def _names(values: Any) -> list[str]:
    if not isinstance(values, list) or (wrong := class_names.first_problem(values)):
        raise ValueError(wrong if isinstance(values, list) else "no list of class names")
    return values


def _described(spec: NetworkSpec, names: list[str]) -> str:
    shown = ", ".join(names[:_SHOWN]) + (", ..." if len(names) > _SHOWN else "")
    return f"{spec.builder} for {len(names)} classes ({shown})"


def make_source(
    network: nn.Module,
    spec: NetworkSpec,
    class_names: list[str],
    calibration: Tensor,
    preprocessing: PreprocessingFacts,
    scratch: Path,
    selection: tuple[Tensor, Tensor] | None = None,
    options: ExportOptions | None = None,
    twin: TwinGraph | None = None,
    without_twin: str = "",
) -> ExportSource:
    """Return the export source of a network.

    Args:
        network: in eval mode on the CPU.
        spec: of the network.
        class_names: K, in label order.
        calibration: training images, (M, 3, H, W) with M of at least 2.
        preprocessing: how an image becomes the network's input.
        scratch: an empty folder that outlives the export and no more.
        selection: other training images, (M, 3, H, W), and their labels, (M,); without them no
            format chooses between recipes.
        options: of the export; by default all are as without any on the command line.
        twin: of these weights.
        without_twin: why there is no twin.
    """
    options = options or ExportOptions()
    simplified = simplify(network, calibration[:_COMPARED])
    example = calibration[:2]
    batch = BatchMaker(options.takes, preprocessing)
    return ExportSource(
        network=network,
        simplified=simplified,
        fp32_graph=Fp32Graph(simplified, example, scratch, batch),
        builder=spec.builder,
        builder_options={"num_classes": spec.num_classes, **spec.options},
        example=example,
        calibration=calibration,
        class_names=class_names,
        preprocessing=preprocessing,
        scratch=scratch,
        selection=selection,
        options=options.by_format,
        twin=twin,
        without_twin=without_twin,
        max_accuracy_drop=options.max_accuracy_drop,
    )
