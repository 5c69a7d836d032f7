"""Pack an exported ONNX file with all that it takes to use it into one zip file.

python -m src.bundle lightning_logs/convnext_t/version_0 --format onnx_int8 -o model.zip
"""

from __future__ import annotations

from src.cli.stage_command import parse
from src.system.console import open_console


def main() -> None:
    from src.bundle.options import BundleOptions
    from src.bundle.stage import bundle

    run, options = parse("bundle", __doc__, BundleOptions)
    contents = bundle(run, options)
    console = open_console()
    for name, size in contents.items():
        console.print(f"{name}: {size / 1e6:.3f} MB")
    console.print(f"Bundle: {options.output}, to be checked with python predict.py --check")
