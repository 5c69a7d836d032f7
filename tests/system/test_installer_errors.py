"""The remedy of a failed installation, by the messages of uv, pip and the system."""

from __future__ import annotations

import errno
import os
import subprocess

import pytest

from src.system import installer_errors

MESSAGES = {
    "a full disk": (
        "error: Failed to install: torch-2.9.1.whl (torch==2.9.1)\n"
        "  Caused by: failed to copy file: No space left on device (os error 28)",
        "make room on the disk of environments/",
    ),
    "a quota": ("error: Disk quota exceeded (os error 122)", "make room on the disk of"),
    "pip on a full disk": (
        "ERROR: Could not install packages due to an OSError: [Errno 28] No space left on device",
        "make room on the disk of environments/",
    ),
    "a cache that cannot be written": (
        "error: failed to create directory `/root/.cache/uv`: Read-only file system (os error 30)",
        "make environments/ and the installer's cache writable",
    ),
    "no rights": (
        "error: failed to open file `/c/x`: Permission denied (os error 13)",
        "make environments/ and",
    ),
    "no name server": (
        "error: Failed to fetch: `https://example.org/simple/mnn/`\n"
        "  Caused by: error sending request for url (https://example.org/simple/mnn/)\n"
        "  Caused by: client error (Connect)\n  Caused by: dns error\n"
        "  Caused by: failed to lookup address information: Name or service not known",
        "CONNECTION",
    ),
    "no route": (
        "error: Request failed after 3 retries\n  Caused by: tcp connect error\n"
        "  Caused by: Network is unreachable (os error 101)",
        "CONNECTION",
    ),
    "a slow network": (
        "error: Failed to download `torch==2.9.1`\n  Caused by: operation timed out",
        "CONNECTION",
    ),
    "pip without a network": (
        "WARNING: Retrying (Retry(total=0)) after connection broken by 'NewConnectionError'\n"
        "ERROR: No matching distribution found for mnn==3.6.1",
        "CONNECTION",
    ),
    "uv that is told to be offline": (
        "  x No solution found when resolving dependencies:\n  ╰─▶ Because mnn was not found in "
        "the cache\n  hint: Packages were unavailable because the network was disabled.",
        "CONNECTION",
    ),
    "an index that refuses": (
        "error: Failed to fetch: `https://example.org/simple/mnn/`\n"
        "  Caused by: HTTP status client error (403 Forbidden) for url (https://example.org)",
        "see that the package index is the right one",
    ),
    "an index that is broken": (
        "  Caused by: HTTP status server error (503 Service Unavailable) for url (https://x)",
        "see that the package index is the right one",
    ),
    "another file": (
        "error: Failed to download `mnn==3.6.1`\n  Caused by: Hash mismatch for `mnn==3.6.1`",
        "use a package index whose files are those of the lock",
    ),
    "no wheel for this system": (
        "error: Distribution `ncnn==1.0.20260114` can't be installed because it has no wheels with "
        "a matching platform tag",
        "PACKAGE",
    ),
    "no such version": (
        "  x No solution found when resolving dependencies:\n  ╰─▶ Because there is no version of "
        "async-timeout==9 we can conclude that your requirements are unsatisfiable.",
        "PACKAGE",
    ),
    "no Python": (
        "error: No interpreter found for Python >=3.12, <3.14",
        "install this Python, or",
    ),
    "another one": ("error: Failed to parse `planted.lock`", "OTHER"),
}


@pytest.mark.parametrize("name", MESSAGES)
def test_the_remedy_is_that_of_the_cause(name: str) -> None:
    message, expected = MESSAGES[name]
    for error in (
        subprocess.CalledProcessError(2, ["uv"], stderr=message),
        OSError(message),
    ):
        remedy = installer_errors.remedy(
            error, connection="CONNECTION", package="PACKAGE", other="OTHER"
        )
        assert remedy.startswith(expected)
        problem = installer_errors.problem(error)
        assert problem in " ".join(message.split())
        assert 0 < len(problem) <= 300


def test_an_installer_that_takes_too_long_is_told_in_words_and_not_as_its_command() -> None:
    error = subprocess.TimeoutExpired(["uv", "pip", "sync"], 3600.0)
    assert installer_errors.problem(error) == "not done within 3600 s"
    assert installer_errors.remedy(error, connection="C", package="P", other="O") == "C"


@pytest.mark.parametrize(
    ("number", "remedy"), [(errno.ENOSPC, "make room on the disk"), (errno.EROFS, "make env")]
)
def test_errors_of_the_system_have_the_remedies_of_the_same_messages(
    number: int, remedy: str
) -> None:
    error = OSError(number, os.strerror(number), "environments/mnn-1/lightship.json")
    assert installer_errors.remedy(error, connection="C", package="P", other="O").startswith(remedy)
