"""Pack an exported file and everything needed to use it into one zip file.

python -m src.bundle lightning_logs/convnext_t/version_0 --format onnx_int8 -o model.zip
"""

from __future__ import annotations

from collections import Counter

from src.bundle.options import BundleOptions
from src.cli.stage_command import parse
from src.system.console import open_console


def main() -> None:
    """Run the command line of this process."""
    from src.bundle import sbom
    from src.bundle.stage import bundle  # imports torch and Lightning

    run, options = parse("bundle", __doc__, BundleOptions)
    contents = bundle(run, options)
    console = open_console()
    in_folders = Counter(name.partition("/")[0] for name in contents)
    for name, files in in_folders.items():
        size = sum(size for path, size in contents.items() if path.partition("/")[0] == name)
        several = f" in {files} files" if name not in contents else ""
        console.print(f"{name}: {size / 1e6:.3f} MB{several}")
    if options.sbom is None and sbom.FILE not in contents:
        console.print(f"No {sbom.FILE}: it is written with pip install cyclonedx-python-lib")
    check = "--exam" if options.exam_images else "--check"
    console.print(f"Bundle: {options.output}, to be checked with python predict.py {check}")
