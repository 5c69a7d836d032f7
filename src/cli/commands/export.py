"""Export a finished run again, without training.

python -m src.export lightning_logs/convnext_t/version_0 --formats '[onnx_int8]'
"""

from __future__ import annotations

from src.cli.stage_command import parse, typed
from src.system.console import StageDisplay, open_console
from src.system.signals import telling


def main() -> None:
    from src.data.restore import data_of
    from src.export.options import ExportOptions
    from src.export.source import Checkpoint
    from src.export.stage import HEALTH_IMAGES, export_run, require_success
    from src.report.sections import health
    from src.report.writers import cards

    run, options = parse("export", __doc__, ExportOptions)
    checkpoint = run.require(run.exported_checkpoint, "train it again")
    run.remove_unfinished()
    data = data_of(run)
    console = open_console()
    with telling(lambda: f"go on with: {typed('export')}"), StageDisplay(console) as report:
        manifest = export_run(
            run,
            Checkpoint.read(checkpoint),
            data.calibration_images(options.calibration_images),
            data.judging_images(options.calibration_images, options.judging_images),
            data.preprocessing.to_dict(),
            options,
            report,
            data.origin,
            lambda: data.unseen_images(HEALTH_IMAGES),
        )
    if warning := health.warning(run.read_manifest().health):
        console.print(warning, soft_wrap=True, style="yellow")
    cards.write(run)
    for name, entry in manifest["formats"].items():
        size = sum(file["bytes"] for file in entry["files"])
        result = f"{size / 1e6:.1f} MB" if entry["status"] == "ok" else entry["reason"]
        console.print(f"{name}: {entry['status']}, {result}")
        if embedded := entry["embedded"]:
            console.print(f"{embedded['folder']}: {embedded['reason'] or embedded['status']}")
    require_success(manifest)
