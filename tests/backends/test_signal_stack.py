"""A process that has used OpenVINO handles signals as before."""

from __future__ import annotations

import subprocess
import sys

import pytest

from tests.conftest import ROOT

pytest.importorskip("openvino")

# In a process of its own: where it fails, it dies.
PROGRAM = """
import os, signal, sys, threading
from pathlib import Path
import numpy as np
import openvino
from openvino import opset13
from src.backends.openvino import signal_stack
from src.backends.openvino.runtime import OpenVinoRuntime
import contextlib

kept = contextlib.nullcontext if sys.argv[1] == "bare" else signal_stack.kept
signal_stack.kept = kept
parameter = opset13.parameter([-1, 3, 8, 8], np.float32)
graph = openvino.Model([opset13.relu(parameter)], [parameter])
first = OpenVinoRuntime(graph, "cpu", 1, "f32")
second = OpenVinoRuntime(graph, "cpu", 1, "f32")
del first  # it comes first and goes first
del second
handled = []
signal.signal(signal.SIGCHLD, lambda *_: handled.append(1))
os.kill(os.getpid(), signal.SIGCHLD)
assert handled == [1]
"""


def run(kind: str) -> subprocess.CompletedProcess[str]:
    return subprocess.run(
        [sys.executable, "-X", "faulthandler", "-c", PROGRAM, kind],
        cwd=ROOT,
        capture_output=True,
        text=True,
        check=False,
    )


def test_a_signal_after_openvino_is_handled() -> None:
    done = run("kept")
    assert done.returncode == 0, done.stderr


@pytest.mark.skipif(sys.platform != "linux", reason="OpenVINO does it on Linux only")
def test_openvino_alone_still_needs_it() -> None:
    # Once this fails, what it guards against is gone and can go as well.
    assert run("bare").returncode < 0
