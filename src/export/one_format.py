"""Exports one format into its folder; a failure ends in the format's entry of the manifest."""

from __future__ import annotations

import contextlib
import io
import logging
import time
import warnings
from collections.abc import Iterator
from pathlib import Path

from src import formats
from src.backends.base import ExportSource, Unavailable
from src.errors import describe
from src.export.manifest import entry, listed, written_files
from src.formats.base import Format
from src.run.facts import ExportedFile
from src.run.manifest import Embedded, Export
from src.run.paths import CARD
from src.system import atomic_files, os_errors
from src.system.packages import missing_packages

# Names of loggers. NNCF imports cpp_extension, which warns of a CUDA_HOME without a GPU.
_TALKATIVE = (
    *("", "torch.onnx", "onnxscript", "onnx_ir", "torch.export"),
    "torch.utils.cpp_extension",
)


def export_one(
    name: str,
    source: ExportSource,
    folder: Path,
    *,
    embed: bool = False,
    earlier: Export | None = None,
) -> Export:
    """Export one format into ``folder`` and return its entry in the manifest.

    Files in ``folder`` that no export wrote stay there.

    Args:
        name: of the format.
        source: of the weights.
        folder: of the format.
        embed: where the format can, write it once more with its preprocessing inside, into a
            folder beside, so that the size of the format stays that of what is measured.
        earlier: its entry in the manifest that is replaced, if there is one.
    """
    format_ = formats.get(name)
    if missing := missing_packages(format_.requires):
        reason = f"not installed: {', '.join(missing)}"
        return entry(format_, source, "skipped", reason=reason)
    try:
        format_.python()  # before the time is taken: making an environment is no part of an export
        started = time.perf_counter()
        # The card tells of the earlier file; the next one is written when all formats are there.
        replaced = [*written_files(earlier), CARD]
        with atomic_files.whole_folder(folder, replaced=replaced) as fresh:
            with quiet():
                details = format_.export(source, fresh)
                read_by = format_.read_by(fresh)
            files = _files_in(fresh)
        seconds = time.perf_counter() - started
    except Unavailable as error:
        return entry(format_, source, "skipped", reason=str(error))
    except Exception as error:  # whatever a format raises becomes the reason in its entry
        return entry(format_, source, "failed", reason=_reason(error))
    return entry(
        format_,
        source,
        "ok",
        files=files,
        details=details,
        read_by=read_by,
        embedded=_embed(format_, folder, embed=embed, earlier=earlier),
        export_seconds=seconds,
    )


def _embed(
    format_: Format, folder: Path, *, embed: bool, earlier: Export | None
) -> Embedded | None:
    """Write the file in ``folder`` once more with its preprocessing inside, if that is asked for.

    A failure here fails nothing else: the file without preprocessing is whole.
    """
    target = folder.with_name(f"{folder.name}_embedded")
    replaced = written_files(earlier.embedded if earlier else None)
    if not (embed and format_.embeds):
        if replaced:
            atomic_files.remove_written(target, replaced)  # of the weights that were replaced
        return None
    try:
        with atomic_files.whole_folder(target, replaced=replaced) as fresh:
            format_.embed(folder, fresh)
            files = _files_in(fresh)
    except Exception as error:  # whatever a format raises becomes the reason in its entry
        return Embedded(folder=target.name, status="failed", reason=_reason(error), files=[])
    return Embedded(folder=target.name, status="ok", reason=None, files=files)


def _reason(error: Exception) -> str:
    """Explain in one line why a format failed."""
    if os_errors.is_out_of_memory(error):
        error.add_note(
            "fewer export.calibration_images and export.judging_images take less; so does a "
            "smaller data.image_size in another training"
        )
    return os_errors.explain(error) or describe(error)


def _files_in(folder: Path) -> list[ExportedFile]:
    paths = (path for path in sorted(folder.rglob("*")) if path.is_file())
    return listed(folder, [str(path.relative_to(folder)) for path in paths])


@contextlib.contextmanager
def quiet() -> Iterator[None]:
    """Hide the messages and warnings of libraries; their errors come out as exceptions."""
    loggers = [logging.getLogger(name) for name in _TALKATIVE]
    levels = [logger.level for logger in loggers]
    try:
        for logger in loggers:
            logger.setLevel(logging.ERROR)
        with contextlib.redirect_stdout(io.StringIO()), warnings.catch_warnings():
            warnings.simplefilter("ignore")
            yield
    finally:
        for logger, level in zip(loggers, levels, strict=True):
            logger.setLevel(level)
