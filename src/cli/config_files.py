"""Files of ``--config``, which are text in UTF-8 and are read more than once."""

from __future__ import annotations

import codecs
import stat
from pathlib import Path

from src.errors import UsageError
from src.system import quoting
from src.system.paths import expand

_ARGUMENT = "--config"
_UTF_16 = (codecs.BOM_UTF16_LE, codecs.BOM_UTF16_BE)


def user_file(word: str) -> str:
    """Return the path of a configuration file, with ``~`` expanded.

    A mark at the start of UTF-8, as editors on Windows write it, is part of YAML.

    Raises:
        UsageError: it is nothing, a folder or a pipe, or its text is in another encoding. The
            parser reports all other mistakes.
    """
    if not word:
        raise UsageError(
            _ARGUMENT, expected="a YAML file", found="nothing", remedy="name it after --config"
        )
    name = expand(word, _ARGUMENT)
    path = Path(name)
    try:
        mode = path.stat().st_mode
        content = path.read_bytes() if stat.S_ISREG(mode) else b""
    except (OSError, ValueError):
        return name  # missing, or YAML in the place of a file
    if not stat.S_ISREG(mode):
        is_folder = stat.S_ISDIR(mode)
        raise UsageError(
            _ARGUMENT,
            expected="a YAML file",
            found=f"{name}, {'a folder' if is_folder else 'which can be read only once'}",
            remedy=f"name a file {'in it' if is_folder else 'with its content'}",
        )
    if content.startswith(_UTF_16):
        raise UsageError(
            _ARGUMENT,
            expected="a YAML file in UTF-8",
            found=f"{name} in UTF-16, as > of Windows PowerShell writes it",
            remedy=f"convert it: iconv -f UTF-16 -t UTF-8 {quoting.shell(name)} > NEW.yaml",
        )
    if not _is_text(content):
        raise UsageError(
            _ARGUMENT,
            expected="a YAML file in UTF-8",
            found=f"{name}, which is none",
            remedy="save it in UTF-8, or name another file",
        )
    return name


def _is_text(content: bytes) -> bool:
    try:
        content.decode("utf-8")
    except UnicodeDecodeError:
        return False
    return b"\0" not in content
