"""The device and the settings of an exported file that is opened for prediction."""

from __future__ import annotations

import pytest

from src import formats
from src.errors import LightshipError, UsageError
from src.predict.exported import chosen_format, open_file
from src.predict.options import PredictOptions
from src.run.folder import Run


def test_a_device_that_the_format_does_not_run_on_is_refused(run: Run) -> None:
    refused = r"^device: expected a device that talking runs on, cpu; found cuda; "
    options = PredictOptions(format="talking", device="cuda")
    with pytest.raises(UsageError, match=refused), open_file(run, options):
        pass
    assert not (run.exports / "talking" / "started").exists()


def test_a_format_for_the_gpu_is_refused_on_the_cpu(
    run: Run, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(type(formats.get("talking")), "devices", ("cuda",))
    manifest = run.read_manifest()
    assert chosen_format(run, manifest, "talking", "cuda") == "talking"
    with pytest.raises(UsageError, match=r"runs on, cuda; found cpu; "):
        chosen_format(run, manifest, "talking", "cpu")


def test_a_runtime_with_other_settings_than_requested_predicts_nothing(run: Run) -> None:
    options = PredictOptions(format="elsewhere-silently")
    refused = "elsewhere-silently: asked for device cpu, runs with gpu"
    with pytest.raises(LightshipError, match=refused), open_file(run, options):
        pass
