"""Explains disk, memory, process and GPU failures in one line."""

from __future__ import annotations

import ast
import errno
import re
import traceback
from collections.abc import Iterator

from src.errors import one_line

_AGAIN = "what was written before is whole; run the command again"

# A sector that cannot be read, or one on the disk of a file server.
FAILING = frozenset(getattr(errno, name, errno.EIO) for name in ("EIO", "EREMOTEIO"))
_TAKEN_AWAY = frozenset({errno.ESTALE, errno.ENOTCONN, errno.EHOSTDOWN})
_SILENT = frozenset({errno.ETIMEDOUT, errno.EHOSTUNREACH})
_REMOVED = frozenset({errno.ENODEV, errno.ENXIO})
# Errors for which a disk or its connection is to blame, and no file on it.
OF_DISKS = FAILING | _TAKEN_AWAY | _SILENT | _REMOVED

# Errors about a file, each with its remedy.
_FILE_ERRORS = {
    errno.ENOSPC: "the disk is full; make room",
    errno.EDQUOT: "the quota of the disk is used up; make room",
    **dict.fromkeys(
        FAILING,
        "the disk fails (input/output error); look into the system's log, use another disk",
    ),
    errno.EROFS: "the disk is read-only; name a folder elsewhere, as trainer.default_root_dir=PATH",
    errno.EACCES: "permission denied; change its permissions or name another folder",
    errno.EPERM: "it may not be changed; change its permissions or name another folder",
    errno.ENOENT: "it is not there; if it was before, it or its disk was taken away: put it back",
    errno.EEXIST: "something else is there; remove it",
    errno.ENOTDIR: "it is not in a folder; if it was before, the folder was replaced: put it back",
    **dict.fromkeys(_TAKEN_AWAY, "the network disk that it is on was taken away; connect it again"),
    **dict.fromkeys(
        _SILENT, "the network disk or server that it is on does not answer; connect it again"
    ),
    **dict.fromkeys(_REMOVED, "the disk that it is on was removed; connect it again"),
    errno.EFBIG: "a file may not be that large here; raise ulimit -f or use another disk",
    errno.EMFILE: "too many files are open; raise ulimit -n or lower data.num_workers",
    errno.ENFILE: "too many files are open on this machine; end other programs",
}
# The DataLoader raises a worker's error again from its text, without the attributes. The text is a
# traceback: its last such line is the error's own, and ends with the path as Python quotes it.
_ERRNO = re.compile(r"""\[Errno (\d+)\](?:[^\n]*?: ('(?:[^'\\\n]|\\.)*'|"(?:[^"\\\n]|\\.)*"))?""")

# Messages of torch's RuntimeErrors, which have no class of their own.
_MEMORY = re.compile(
    r"not enough memory|can't allocate memory|out of memory|unable to mmap|bad allocation|"
    r"bad_alloc|CUBLAS_STATUS_ALLOC_FAILED|Cannot allocate memory"
)
_SHARED_MEMORY = re.compile(r"out of shared memory|insufficient shared memory|shared memory object")
# A process that may open no more files loses the descriptors that another one sends it
# (https://github.com/pytorch/pytorch/issues/973).
_OPEN_FILES = re.compile(r"Too many open files|received \d+ items of ancdata")
_THREADS = re.compile(r"can't start new thread")
_STARTING = ("/popen_fork.py", "/subprocess.py")  # Python's files that start a process
_NO_PROCESS = (
    "no further process or thread may be started; lower data.num_workers, or raise ulimit -u or "
    "the container's limit (docker run --pids-limit)"
)
_WORKER = re.compile(r"DataLoader worker \(pid.*?(?:killed by signal: [\w ]+|exited unexpectedly)")
_GPU = re.compile(
    r"CUDA error: (?!out of memory)|CUDA driver error|cuDNN error|CUBLAS_STATUS_(?!ALLOC)|"
    r"NCCL error|no CUDA-capable device|GPU is lost|No CUDA GPUs are available"
)
_MESSAGE_CHARACTERS = 200  # of a library's message that are shown


def explain(error: BaseException) -> str | None:
    """Return one line with the cause and the remedy; None for any other kind of error.

    Notes of the error (:meth:`BaseException.add_note`) are appended as advice.
    """
    for cause in _chain(error):
        line = _explain(cause)
        if line is not None:
            notes = [note for link in _chain(error) for note in getattr(link, "__notes__", [])]
            return one_line("; ".join([line, *dict.fromkeys(notes)]))
    return None


def is_out_of_memory(error: BaseException) -> bool:
    """Return True if the machine's or the GPU's memory ran out."""
    return any(_is_out_of_memory(cause) for cause in _chain(error))


def _explain(error: BaseException) -> str | None:  # noqa: PLR0911  # one return per kind of error
    text = str(error)
    if _is_out_of_memory(error):
        return f"out of memory: {_matching_line(_MEMORY, text) or type(error).__name__}"
    if isinstance(error, OSError):
        is_of_start = error.errno == errno.EAGAIN and _starts_a_process(error)
        return f"{_NO_PROCESS}; {_AGAIN}" if is_of_start else _explain_file_error(error)
    if isinstance(error, ModuleNotFoundError):
        package = (error.name or one_line(text))[:_MESSAGE_CHARACTERS]
        return f"not installed: {package}; install it, or leave out what needs it"
    if not isinstance(error, RuntimeError):
        return None
    if _THREADS.search(text):
        return f"{_NO_PROCESS}; {_AGAIN}"
    if _OPEN_FILES.search(text):
        return f"{_FILE_ERRORS[errno.EMFILE]}; {_AGAIN}"
    if _SHARED_MEMORY.search(text):
        return (
            "the shared memory of this machine is used up: "
            "lower data.num_workers, or enlarge /dev/shm (docker run --shm-size)"
        )
    if match := _WORKER.search(text):
        return (
            f"a process that loads images ended: {match[0]}; if memory ran out, as a rule the "
            f"reason, lower data.num_workers or data.batch_size; {_AGAIN}"
        )
    if _GPU.search(text):
        return f"the GPU fails or is gone: {_matching_line(_GPU, text)}; see nvidia-smi; {_AGAIN}"
    return None


def _explain_file_error(error: OSError) -> str | None:
    number, name = error.errno, error.filename
    if number is None:
        for match in _ERRNO.finditer(str(error)):
            number, name = int(match[1]), ast.literal_eval(match[2]) if match[2] else None
    if number not in _FILE_ERRORS:
        return None
    file = f"{name}: " if name else ""
    return f"{file}{_FILE_ERRORS[number]}; {_AGAIN}"


def _starts_a_process(error: BaseException) -> bool:
    """Return True if Python raised an error while it started a process."""
    frames = traceback.extract_tb(error.__traceback__)
    return any(frame.filename.endswith(_STARTING) for frame in frames)


def _is_out_of_memory(error: BaseException) -> bool:
    if isinstance(error, MemoryError) or getattr(error, "errno", None) == errno.ENOMEM:
        return True
    # torch.OutOfMemoryError is a RuntimeError; this module imports no torch.
    return isinstance(error, RuntimeError) and bool(
        _MEMORY.search(str(error)) and not _WORKER.search(str(error))
    )


def _matching_line(pattern: re.Pattern[str], text: str) -> str:
    """Return the first line of a message that matches, or else its first line."""
    lines = [line for line in text.splitlines() if pattern.search(line)] or text.splitlines()
    return lines[0].strip()[:_MESSAGE_CHARACTERS] if lines else ""


def _chain(error: BaseException | None) -> Iterator[BaseException]:
    """Yield an error and its causes."""
    seen: set[int] = set()
    while error is not None and id(error) not in seen:
        seen.add(id(error))
        yield error
        error = error.__cause__ or error.__context__
