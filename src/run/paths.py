"""Paths of the files in a run folder."""

from __future__ import annotations

import hashlib
from dataclasses import dataclass
from pathlib import Path

from src.errors import UsageError
from src.system import links, quoting

CARD = "README.md"  # of an exported format, in its folder
CHECKPOINTS = "checkpoints"
LAST = f"{CHECKPOINTS}/last.ckpt"  # exported if no weights were validated


def thumbnail_name(position: int, test_set: str) -> str:
    """Return the name of the file in ``flipped`` that shows a test image.

    Thumbnails of an earlier measurement stay in the folder. The name contains the test set, so that
    a position in one test set never stands for that in another.

    Args:
        position: of the image in its test set.
        test_set: hash of the test set. It may come from a stranger's file, so it is hashed once
            more: it cannot lead out of the folder.
    """
    return f"{position}_{hashlib.sha256(test_set.encode()).hexdigest()[:16]}.png"


@dataclass(frozen=True)
class RunPaths:
    """Paths in the folder of one training; none of them leads out of it."""

    folder: Path

    @property
    def name(self) -> str:
        """Name of the run, such as ``convnext_t/version_0``."""
        return f"{self.folder.parent.name}/{self.folder.name}"

    @property
    def quoted(self) -> str:
        """The folder, quoted for a shell."""
        return quoting.shell(str(self.folder))

    @property
    def config(self) -> Path:
        return self.own("config.yaml")

    @property
    def command(self) -> Path:
        """File with the training command as it was typed."""
        return self.own("command.txt")

    @property
    def started_in_file(self) -> Path:
        """File with the folder that the training was started in: see :mod:`src.run.started_in`."""
        return self.own("started_in.txt")

    @property
    def split_record(self) -> Path:
        """File with the names of the images in each split: see :mod:`src.run.split_record`."""
        return self.own("splits.json.gz")

    @property
    def best_checkpoint(self) -> Path:
        return self.own(CHECKPOINTS, "best.ckpt")

    @property
    def last_checkpoint(self) -> Path:
        return self.own(LAST)

    @property
    def exported_checkpoint(self) -> Path:
        """Checkpoint to export: the best, or the last if no weights were validated."""
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
        """File with the raw measurement, until ``benchmark.json`` is computed from it."""
        return self.own("rounds.json")

    @property
    def serve_test(self) -> Path:
        """File with the measurement of one exported file under load."""
        return self.own("serve_test.json")

    @property
    def unfinished_serve_test(self) -> Path:
        """File with a later measurement under load, until it takes the place of the earlier one."""
        return self.own("serve_test.partial.json")

    @property
    def twin(self) -> Path:
        """Folder of the int8 twin: its record, its graph and its trainings."""
        return self.own("twin")

    @property
    def twin_record(self) -> Path:
        """File with the account of the int8 twin."""
        return self.own("twin", "twin.json")

    @property
    def measurements(self) -> Path:
        """Folder of all measurements, one file each, named by machine and time."""
        return self.own("measurements")

    @property
    def profile(self) -> Path:
        """Folder of the training's traces and their summary."""
        return self.own("profile")

    @property
    def inference_traces(self) -> Path:
        """Folder with a trace of some calls of each exported file."""
        return self.own("profile", "inference")

    @property
    def flipped(self) -> Path:
        """Folder of thumbnails of the test images whose top-1 class differs from the baseline's."""
        return self.own("flipped")

    @property
    def versions(self) -> Path:
        """Folder of comparisons with other versions of the runtimes."""
        return self.own("versions")

    @property
    def report(self) -> Path:
        return self.own("report.md")

    @property
    def page(self) -> Path:
        return self.own("report.html")

    def own(self, *parts: str) -> Path:
        """Return the path of ``parts`` in this run, for reading or writing.

        Raises:
            UsageError: a link on the way leads out of the run.
        """
        try:
            return links.inside(self.folder, *parts)
        except links.UnsafePathError as outward:
            raise _not_own(outward) from outward

    def require_own_files(self) -> None:
        """Check all files of this run, because libraries open files that they find by themselves.

        Raises:
            UsageError: a link leads out of the run, or an entry is neither a file nor a folder.
        """
        try:
            links.require_inside(self.folder)
        except links.UnsafePathError as outward:
            raise _not_own(outward) from outward


def _not_own(outward: links.UnsafePathError) -> UsageError:
    """Return the error about a link that leads out of a run.

    Such a link in a run of unknown origin could make files elsewhere be read, packed or written.
    """
    return UsageError(
        "RUN",
        expected="files and folders of the run's own",
        found=outward.found,
        remedy="copy what it leads to in its place",
    )
