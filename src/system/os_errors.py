"""What goes wrong that is nobody's mistake and no defect: a disk, the memory, a process, a GPU."""

from __future__ import annotations

import errno
import re
from collections.abc import Iterator

from src.errors import one_line

_AGAIN = "what was written before is whole; run the command again"

# What the system says of a file, with the remedy.
_OF_FILES = {
    errno.ENOSPC: "the disk is full; make room",
    errno.EDQUOT: "the quota of the disk is used up; make room",
    errno.EIO: "the disk fails (input/output error); look into the system's log, use another disk",
    errno.EROFS: "the disk is read-only; name a folder elsewhere, as trainer.default_root_dir=PATH",
    errno.EACCES: "permission denied; change its permissions or name another folder",
    errno.EPERM: "it may not be changed; change its permissions or name another folder",
    errno.ENOENT: "it is not there; if it was before, it or its disk was taken away: put it back",
    errno.EEXIST: "something else is there; remove it",
    errno.ENOTDIR: "it is not in a folder; if it was before, the folder was replaced: put it back",
    errno.ESTALE: "the network disk that it is on was taken away; connect it again",
    errno.EFBIG: "a file may not be that large here; raise ulimit -f or use another disk",
    errno.EMFILE: "too many files are open; raise ulimit -n or lower data.num_workers",
    errno.ENFILE: "too many files are open on this machine; end other programs",
}
_ERRNO = re.compile(
    r"\[Errno (\d+)\]"
)  # all that is left of it where a worker's error is built anew

# What torch says, in RuntimeErrors of no class of their own.
_MEMORY = re.compile(
    r"not enough memory|can't allocate memory|out of memory|unable to mmap|bad allocation|"
    r"bad_alloc|CUBLAS_STATUS_ALLOC_FAILED|Cannot allocate memory"
)
_SHARED_MEMORY = re.compile(r"out of shared memory|insufficient shared memory|shared memory object")
_WORKER = re.compile(r"DataLoader worker \(pid.*?(?:killed by signal: [\w ]+|exited unexpectedly)")
_GPU = re.compile(
    r"CUDA error: (?!out of memory)|CUDA driver error|cuDNN error|CUBLAS_STATUS_(?!ALLOC)|"
    r"NCCL error|no CUDA-capable device|GPU is lost|No CUDA GPUs are available"
)
_CUT_OFF = 200  # characters of what a library says


def explain(error: BaseException) -> str | None:
    """One line with the cause and the remedy; None where it is none of these.

    Notes of the error (:meth:`BaseException.add_note`) are taken for advice.
    """
    for each in _chain(error):
        line = _explain(each)
        if line is not None:
            notes = [note for link in _chain(error) for note in getattr(link, "__notes__", [])]
            return one_line("; ".join([line, *dict.fromkeys(notes)]))
    return None


def is_out_of_memory(error: BaseException) -> bool:
    """Whether memory ran out: the machine's or the GPU's."""
    return any(_is_out_of_memory(each) for each in _chain(error))


def _explain(error: BaseException) -> str | None:  # noqa: PLR0911  # a kind each
    text = str(error)
    if _is_out_of_memory(error):
        return f"out of memory: {_told(_MEMORY, text) or type(error).__name__}"
    if isinstance(error, OSError):
        return _of_file(error)
    if isinstance(error, ModuleNotFoundError):
        missing = error.name or one_line(text)
        return f"not installed: {missing[:_CUT_OFF]}; install it, or leave out what needs it"
    if not isinstance(error, RuntimeError):
        return None
    if _SHARED_MEMORY.search(text):
        return (
            "the shared memory of this machine is used up: "
            "lower data.num_workers, or enlarge /dev/shm (docker run --shm-size)"
        )
    if found := _WORKER.search(text):
        return (
            f"a process that loads images ended: {found[0]}; if memory ran out, as a rule the "
            f"reason, lower data.num_workers or data.batch_size; {_AGAIN}"
        )
    if _GPU.search(text):
        return f"the GPU fails or is gone: {_told(_GPU, text)}; see nvidia-smi; {_AGAIN}"
    return None


def _of_file(error: OSError) -> str | None:
    found = _ERRNO.search(str(error))
    number = error.errno if error.errno is not None else int(found[1]) if found else None
    if number not in _OF_FILES:
        return None
    where = f"{error.filename}: " if error.filename else ""
    return f"{where}{_OF_FILES[number]}; {_AGAIN}"


def _is_out_of_memory(error: BaseException) -> bool:
    if isinstance(error, MemoryError) or getattr(error, "errno", None) == errno.ENOMEM:
        return True
    # torch.OutOfMemoryError is a RuntimeError; this module imports no torch.
    return isinstance(error, RuntimeError) and bool(
        _MEMORY.search(str(error)) and not _WORKER.search(str(error))
    )


def _told(pattern: re.Pattern[str], text: str) -> str:
    """What a library says, from the line that the pattern finds."""
    lines = [line for line in text.splitlines() if pattern.search(line)] or text.splitlines()
    return lines[0].strip()[:_CUT_OFF] if lines else ""


def _chain(error: BaseException | None) -> Iterator[BaseException]:
    """An error and what led to it."""
    seen: set[int] = set()
    while error is not None and id(error) not in seen:
        seen.add(id(error))
        yield error
        error = error.__cause__ or error.__context__
