"""The files of onnxruntime-web, fetched once by npm and kept in ``environments/``.

The version and the hash of each package are in ``page/package-lock.json``; npm refuses other
bytes. The two files that a page needs are also compared with their SHA-256 at each use.
"""

from __future__ import annotations

import os
import shutil
import subprocess
import tempfile
from pathlib import Path

from src.backends.base import Unavailable
from src.backends.browser.chromium import PROGRAMS
from src.errors import one_line
from src.system import atomic_files, environments, installer_errors, sessions

PAGE = Path(__file__).parent / "page"
VERSION = "1.30.0"
DIST = "node_modules/onnxruntime-web/dist"
SHA256 = {
    "ort.wasm.bundle.min.mjs": "11e64bd8ffe11bd1a2a2f0d6275fdfbbba7262f0b76b99b53d228a8a22ef3d90",
    "ort-wasm-simd-threaded.wasm": (
        "3398c10d07d229bd91b364548e130e0e51a8e5704b88c7c083ebbeb78842dee2"
    ),
}
_SECONDS = 300.0
_MOST_SHOWN = 200


def kept() -> bool:
    """Return True if the files are here, so that no network is needed."""
    return all((_folder() / name).is_file() for name in SHA256)


def may_be_had() -> bool:
    """Return True if Chromium can run, and there are the files or the means to fetch them."""
    has_browser = sessions.are_known() and any(map(shutil.which, PROGRAMS))
    may_be_fetched = shutil.which("npm") is not None and environments.can_be_written()
    return has_browser and (kept() or may_be_fetched)


def files() -> dict[str, Path]:
    """Return the files by name; fetch them at the first use.

    Raises:
        Unavailable: they cannot be fetched, kept or read, or are not the expected bytes.
    """
    folder = _folder()
    paths = {name: folder / name for name in SHA256}
    try:
        if not kept():
            with environments.making(folder):
                if not kept():  # no other worker fetched them in the meantime
                    _fetch(folder)
        hashes = {name: atomic_files.sha256(path) for name, path in paths.items()}
    except OSError as error:
        raise Unavailable(
            f"onnxruntime-web cannot be kept: {error.filename or folder}: {error.strerror}; "
            f"{installer_errors.remedy_for_folder(error)}"
        ) from error
    changed = [name for name, sha256 in hashes.items() if sha256 != SHA256[name]]
    if changed:
        raise Unavailable(
            f"{', '.join(changed)} in {folder} is not the file of onnxruntime-web {VERSION}; "
            "remove the folder, and it is fetched again"
        )
    return paths


def _folder() -> Path:
    return environments.ROOT / f"onnxruntime-web-{VERSION}"


def _fetch(folder: Path) -> None:
    if shutil.which("npm") is None:
        raise Unavailable(
            "no npm on the PATH, which fetches onnxruntime-web once; install Node.js and npm"
        )
    with tempfile.TemporaryDirectory(prefix="lightship-npm-") as name:
        scratch = Path(name)
        for description in ("package.json", "package-lock.json"):
            shutil.copy(PAGE / description, scratch)
        _install(scratch)
        folder.mkdir(exist_ok=True)
        for file in SHA256:
            atomic_files.write_bytes(folder / file, (scratch / DIST / file).read_bytes())


def _install(folder: Path) -> None:
    """Install the packages of the lock file; npm compares each with its hash."""
    command = ["npm", "ci", "--ignore-scripts", "--no-audit", "--no-fund", "--loglevel=error"]
    try:
        ended = subprocess.run(
            command,
            cwd=folder,
            # npm takes options from variables of any case, and a PYTHONPATH is not for it.
            env={name: value for name, value in os.environ.items() if name != "PYTHONPATH"},
            stdin=subprocess.DEVNULL,
            capture_output=True,
            encoding="utf-8",
            errors="replace",
            timeout=_SECONDS,
            check=False,
        )
    except (OSError, subprocess.TimeoutExpired) as error:
        raise Unavailable(_not_fetched(str(error))) from error
    if ended.returncode != 0:
        raise Unavailable(_not_fetched(ended.stderr))


def _not_fetched(reason: str) -> str:
    shown = one_line(reason)[:_MOST_SHOWN] or "no reason given"
    return (
        f"npm could not fetch onnxruntime-web {VERSION} ({shown}); measure once with a network, "
        "after which none is needed"
    )
