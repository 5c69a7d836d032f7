"""The device and the settings of an exported file that is opened for prediction."""

from __future__ import annotations

import json

import pytest

from src import formats
from src.benchmark.suite import measure
from src.errors import LightshipError, UsageError
from src.predict.exported import chosen_format, doubt_of, open_file
from src.predict.options import PredictOptions
from src.run.folder import Run
from src.run.layout import as_dict
from src.system import machine
from tests.benchmark.planted_formats import FEW, Data, silent


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


@pytest.mark.parametrize(
    ("lacks", "reduce_range", "is_told"),
    [(True, False, True), (False, False, False), (True, True, False), (True, None, False)],
)
def test_a_file_for_processors_with_a_dot_product_is_doubted_where_there_is_none(
    run: Run, monkeypatch: pytest.MonkeyPatch, lacks: bool, reduce_range: bool | None, is_told: bool
) -> None:
    monkeypatch.setattr(machine, "lacks_dot_product", lambda: lacks)
    content = as_dict(run.read_manifest())
    content["formats"]["talking"]["details"] = {"reduce_range": reduce_range}
    run.manifest.write_text(json.dumps(content))
    with open_file(run, PredictOptions(format="talking")) as file:
        assert (file.doubt is not None) == is_told
    if is_told:
        assert file.doubt is not None
        assert file.doubt.startswith("talking was quantized for processors with an int8 dot ")


def test_a_file_that_was_measured_on_this_kind_of_processor_is_not_doubted(
    well_behaved: Run, monkeypatch: pytest.MonkeyPatch
) -> None:
    content = as_dict(well_behaved.read_manifest())
    content["formats"]["talking"]["details"] = {"reduce_range": False}
    well_behaved.manifest.write_text(json.dumps(content))
    measure(well_behaved, Data(), FEW, silent)
    manifest = well_behaved.read_manifest()
    monkeypatch.setattr(machine, "lacks_dot_product", lambda: True)
    assert doubt_of(well_behaved, manifest, "talking", "cpu") is None
    assert doubt_of(well_behaved, manifest, "talking", "cuda") is None
    monkeypatch.setattr(machine, "instruction_sets", lambda: ("AVX2", "another"))
    assert doubt_of(well_behaved, manifest, "talking", "cpu") is not None
