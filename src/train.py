"""Train a classifier. Then export, measure and report every deployable file of it.

python -m src.train model=convnext_t
python -m src.train model=resnet34,densenet121,efficientnet_b0,convnext_t
python -m src.train model=convnext_t data=cifar10 trainer=gpu trainer.max_epochs=20
python -m src.train test model=convnext_t ckpt_path=best
python -m src.train fit --help
"""

from __future__ import annotations

import os
import sys

from src.cli import sweep
from src.cli.entry_point import run_command


def main() -> None:
    # torch's profiler (C++) prints messages such as "profiling started" on standard error.
    os.environ.setdefault("KINETO_LOG_LEVEL", "99")
    os.environ.setdefault("TORCH_CPP_LOG_LEVEL", "ERROR")

    models = sweep.models_in(sys.argv[1:])
    if models:
        sweep.main(models, sys.argv[1:])
        return
    # Imported here: Ctrl-C during the seconds that importing torch takes prints no traceback.
    from src.cli import app

    app.main(sys.argv[1:])


if __name__ == "__main__":
    run_command(main)
