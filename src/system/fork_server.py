"""A process that imports libraries once and then runs commands in forked copies of itself.

python -m src.system.fork_server DESCRIPTOR MODULE...

DESCRIPTOR is a socket to the process that wants the commands: see
:mod:`src.system.forked_commands`. The server imports the modules, and answers one request after the
other. It ends when the other end of the socket is closed.

The server of :mod:`multiprocessing` is not used: it runs functions, loads the ``__main__`` of its
parent into each child, and skips the handlers that a program has registered for its end.
"""

from __future__ import annotations

import atexit
import gc
import importlib
import json
import os
import random
import runpy
import signal
import socket
import struct
import sys
import threading
import warnings
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any, NoReturn

# Signals that a terminal or a cluster sends to all processes. A server that ended could not tell
# how its command ended.
_KEPT_OUT = (signal.SIGINT, signal.SIGTERM, signal.SIGHUP, signal.SIGQUIT)
# A request is its length in bytes, which the descriptors come with, and then its JSON.
LENGTH = struct.Struct("!Q")
# An answer is the number of the process, and later its exit code.
NUMBER = struct.Struct("!q")
READY = 0  # the first number: all modules are imported
MOST_DESCRIPTORS = 64
_UNFLUSHED = 120  # exit code of Python if the last output could not be written
_MOST_OF_NAME = 15  # characters that Linux keeps of the name of a process


@dataclass(frozen=True)
class Request:
    """A command to run: its module, its words, all of its variables and its working folder."""

    module: str
    argv: list[str]
    environment: dict[str, str]
    folder: str


def main() -> NoReturn:
    """Serve requests until the socket is closed."""
    descriptor, *modules = sys.argv[1:]
    os.setsid()  # out of reach of the terminal's keys, and so are all copies
    handlers = {number: signal.signal(number, signal.SIG_IGN) for number in _KEPT_OUT}
    with socket.socket(fileno=int(descriptor)) as requests:
        requests.set_inheritable(False)
        for module in modules:
            importlib.import_module(module)
        _let_go_of_output()
        requests.sendall(NUMBER.pack(READY))
        gc.freeze()  # so that a collection does not write to the pages of all that was imported
        while (received := _receive(requests)) is not None:
            request, descriptors = received
            with warnings.catch_warnings():
                # Python warns of forks beside other threads. The only ones are those of linear
                # algebra libraries, which start anew after a fork.
                warnings.simplefilter("ignore", DeprecationWarning)
                child = os.fork()
            if child == 0:
                requests.close()
                _end(_become(request, descriptors, handlers))
            for kept in descriptors:
                os.close(kept)
            try:
                requests.sendall(NUMBER.pack(child))
                code = os.waitstatus_to_exitcode(os.waitpid(child, 0)[1])
                requests.sendall(NUMBER.pack(code))
            except BrokenPipeError:  # the process that wanted the command has ended
                break
    _end(0)


def _let_go_of_output() -> None:
    """Close the output of the process that started the server.

    Who reads it would wait for its end as long as an orphaned command runs. Each request has its
    own.
    """
    nothing = os.open(os.devnull, os.O_WRONLY)
    for stream in (sys.stdout, sys.stderr):
        stream.flush()
        os.dup2(nothing, stream.fileno())
    os.close(nothing)


def _receive(requests: socket.socket) -> tuple[Request, list[int]] | None:
    """Return the next request with its descriptors; None at the end of all requests."""
    head, descriptors, _, _ = socket.recv_fds(requests, LENGTH.size, MOST_DESCRIPTORS)
    if not head:
        return None
    with requests.makefile("rb") as rest:
        head += rest.read(LENGTH.size - len(head))
        content = rest.read(LENGTH.unpack(head)[0])
    return Request(**json.loads(content)), descriptors


def _become(
    request: Request, descriptors: Sequence[int], handlers: dict[signal.Signals, Any]
) -> int:
    """Turn this copy into the command of a request, run it and return its exit code.

    Args:
        request: the command.
        descriptors: of output and errors; others are held until the command ends.
        handlers: of the signals that the server ignores.
    """
    os.setsid()
    for number, handler in handlers.items():
        signal.signal(number, handler)
    output, errors = descriptors[:2]
    os.dup2(output, sys.stdout.fileno())
    os.dup2(errors, sys.stderr.fileno())
    for kept in descriptors[2:]:
        os.set_inheritable(kept, True)
    os.close(output)
    os.close(errors)
    for stream in (sys.stdout, sys.stderr):
        stream.reconfigure(line_buffering=stream is sys.stderr or stream.isatty())  # type: ignore[union-attr]
    os.environ.clear()
    os.environ.update(request.environment)
    os.chdir(request.folder)
    random.seed()
    if numpy := sys.modules.get("numpy"):  # else all copies would draw the same numbers
        numpy.random.seed()
    # For tools that list processes: the command line stays that of the server.
    Path("/proc/self/comm").write_text(request.module[:_MOST_OF_NAME], encoding="ascii")
    sys.argv[1:] = request.argv
    try:
        with warnings.catch_warnings():
            # The module may have been imported by another one.
            warnings.filterwarnings("ignore", category=RuntimeWarning, module="runpy")
            runpy.run_module(request.module, run_name="__main__", alter_sys=True)
    except SystemExit as ended:
        if ended.code is None or isinstance(ended.code, int):
            return ended.code or 0
        print(ended.code, file=sys.stderr)
        return 1
    except BaseException:  # as the interpreter does at the end of a program
        sys.excepthook(*sys.exc_info())
        return 1
    return 0


def _end(code: int) -> NoReturn:
    """End this process as :mod:`multiprocessing` does: libraries must not end themselves.

    They would wait for threads that a copy does not have, and report the frozen objects as leaks.
    """
    threading._shutdown()  # type: ignore[attr-defined]  # noqa: SLF001  # waits for threads
    atexit._run_exitfuncs()  # noqa: SLF001
    for stream in (sys.stdout, sys.stderr):
        try:
            stream.flush()
        except (OSError, ValueError):  # no space, or closed
            code = code or _UNFLUSHED
    os._exit(code & 0xFF)


if __name__ == "__main__":
    main()
