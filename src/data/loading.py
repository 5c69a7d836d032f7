"""The processes that load images."""

from __future__ import annotations

import signal
from types import FrameType

_GRACE_SECONDS = 30


def outlast_signals(_: int) -> None:
    """A worker's part in stopping well: it goes on until the training ends it.

    A terminal sends Ctrl-C, and a cluster SIGTERM, to all processes of a command. The one that
    trains finishes its step first, for which it needs its images.
    """
    signal.signal(signal.SIGINT, signal.SIG_IGN)
    signal.signal(signal.SIGTERM, _end_soon)


def _end_soon(_: int, __: FrameType | None) -> None:
    # If nobody ends it: the default of SIGALRM does.
    signal.signal(signal.SIGALRM, signal.SIG_DFL)
    signal.alarm(_GRACE_SECONDS)
