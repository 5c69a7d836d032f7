"""A model of a bundle in a forked process: a call would wait without end for threads."""

from __future__ import annotations

import os
import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest

from src.shipped.predict import Model
from tests.conftest import ROOT
from tests.golden.pixels import GOLDEN
from tests.support import identity_models
from tests.support.bundle_program import described

RULE = GOLDEN.rules[0]
# A server does this that loads the application before it makes its workers.
PRELOADED = """
import os, sys
import numpy as np
from src.shipped.predict import Model

model = Model(__import__("pathlib").Path(sys.argv[1]), threads=2)
image = np.zeros((3, int(sys.argv[2]), int(sys.argv[2])), np.float32)
model.answer([image])
child = os.fork()
if child == 0:
    try:
        model.answer([image])
    except RuntimeError as error:
        print(error, flush=True)
        os._exit(3)
    os._exit(0)
print(os.waitstatus_to_exitcode(os.waitpid(child, 0)[1]), flush=True)
model.answer([image])
os._exit(0)
"""


@pytest.mark.skipif(not hasattr(os, "fork"), reason="takes a fork")
def test_a_copy_of_a_process_refuses_to_answer_by_the_model_of_the_first(tmp_path: Path) -> None:
    folder = described(identity_models.onnx_file(RULE, tmp_path / "model"), RULE)
    size = str(RULE["image_size"])
    ended = subprocess.run(
        [sys.executable, "-W", "ignore", "-c", PRELOADED, str(folder), size],
        cwd=ROOT,
        capture_output=True,
        text=True,
        timeout=60,
        check=False,
    )
    assert ended.returncode == 0, ended.stderr
    reason, code = ended.stdout.splitlines()
    assert reason.startswith("the model was opened in another process, of which this one is a copy")
    assert code == "3"


def test_a_model_answers_in_its_own_process(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    folder = described(identity_models.onnx_file(RULE, tmp_path / "model"), RULE)
    model = Model(folder)
    image = np.zeros((3, RULE["image_size"], RULE["image_size"]), np.float32)
    assert model.answer([image, image]).shape[0] == 2
    here = os.getpid()
    monkeypatch.setattr(os, "getpid", lambda: here + 1)
    with pytest.raises(RuntimeError, match="open it after the fork, in each process"):
        model.answer([image])
