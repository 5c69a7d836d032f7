"""Paths of the files in a run folder."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path

from src.errors import UsageError
from src.system import links, quoting

CHECKPOINTS = "checkpoints"
LAST = f"{CHECKPOINTS}/last.ckpt"  # exported where no weights were validated


@dataclass(frozen=True)
class RunPaths:
    """The paths in the folder of one training. None of them leads out of it."""

    folder: Path

    @property
    def name(self) -> str:
        """The run as people call it: ``convnext_t/version_0``."""
        return f"{self.folder.parent.name}/{self.folder.name}"

    @property
    def quoted(self) -> str:
        """The folder as a word of a line for a shell."""
        return quoting.shell(str(self.folder))

    @property
    def config(self) -> Path:
        return self.own("config.yaml")

    @property
    def command(self) -> Path:
        """The command that it was trained with, as it was typed."""
        return self.own("command.txt")

    @property
    def started_in_file(self) -> Path:
        """The folder that the training was started in: see :mod:`src.run.started_in`."""
        return self.own("started_in.txt")

    @property
    def best_checkpoint(self) -> Path:
        return self.own(CHECKPOINTS, "best.ckpt")

    @property
    def last_checkpoint(self) -> Path:
        return self.own(LAST)

    @property
    def exported_checkpoint(self) -> Path:
        """The checkpoint to export: the best one, or the last one if no weights were validated."""
        return self.best_checkpoint if self.best_checkpoint.is_file() else self.last_checkpoint

    @property
    def exports(self) -> Path:
        return self.own("exports")

    @property
    def manifest(self) -> Path:
        return self.own("exports", "manifest.json")

    @property
    def benchmark(self) -> Path:
        return self.own("benchmark.json")

    @property
    def rounds(self) -> Path:
        """A measurement as it was taken, until ``benchmark.json`` is made from it."""
        return self.own("rounds.json")

    @property
    def measurements(self) -> Path:
        """Every measurement there was, a file each, by machine and time."""
        return self.own("measurements")

    @property
    def profile(self) -> Path:
        """Traces of the training, and what they say."""
        return self.own("profile")

    @property
    def inference_traces(self) -> Path:
        """A trace of some calls of each exported file."""
        return self.own("profile", "inference")

    @property
    def flipped(self) -> Path:
        """Pictures of the test images that some row answers otherwise than the baseline."""
        return self.own("flipped")

    @property
    def report(self) -> Path:
        return self.own("report.md")

    @property
    def page(self) -> Path:
        return self.own("report.html")

    def own(self, *parts: str) -> Path:
        """The path of ``parts`` in this run, to read or to write.

        Raises:
            UsageError: a link on the way leads out of the run.
        """
        try:
            return links.inside(self.folder, *parts)
        except links.UnsafePathError as outward:
            raise _not_own(outward) from outward

    def require_own_files(self) -> None:
        """Look at all there is in this run, as libraries open files that they find by themselves.

        Raises:
            UsageError: a link leads out of the run, or something is neither file nor folder.
        """
        try:
            links.require_inside(self.folder)
        except links.UnsafePathError as outward:
            raise _not_own(outward) from outward


def _not_own(outward: links.UnsafePathError) -> UsageError:
    """A run of unknown origin would have files elsewhere read, packed or written."""
    return UsageError(
        "RUN",
        expected="files and folders of the run's own",
        found=outward.found,
        remedy="copy what it leads to in its place",
    )
