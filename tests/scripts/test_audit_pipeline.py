"""The audit of the pipeline's figure: its checks on planted sessions, and its planted decoder."""

from __future__ import annotations

import importlib.util
import sys
from typing import Any

import numpy as np
import pytest

from src.benchmark.statistics.latency import speedup, summarize
from src.data.pipeline import encoded
from src.run.latency import Turn
from src.run.layout import as_dict
from src.run.pipeline import STAGES
from src.shipped import predict_images
from tests.conftest import ROOT

sys.path.insert(0, str(ROOT / "scripts"))

import audit_pipeline
from audit_coverage import Sessions

PROCESSES, ROUNDS = 5, 2
NAMES = (audit_pipeline.FILE, audit_pipeline.TWIN, audit_pipeline.SLOW)


def turns(generator: np.random.Generator, scale: float) -> dict[int, Turn]:
    speeds = np.exp(generator.normal(np.log(scale), 0.005, PROCESSES))
    return {
        number: Turn(
            seconds=[float(speeds[number // ROUNDS] * noise)] * 4,
            elapsed_seconds=1.0,
            cpu_seconds=1.0,
            process=number // ROUNDS,
        )
        for number, noise in enumerate(np.exp(generator.normal(0, 0.003, PROCESSES * ROUNDS)))
    }


def rows(generator: np.random.Generator, slow: float = 1.05) -> dict[str, Any]:
    """Rows of one session as ``benchmark.json`` has them, of a whole of 1 s or ``slow``."""
    plain = {name: turns(generator, slow if name == NAMES[2] else 1.0) for name in NAMES}
    made = {}
    for name, rounds in plain.items():
        other = turns(generator, slow if name == NAMES[2] else 1.0)
        means = {stage: {"mean_s": 0.2} for stage in STAGES}
        if name == NAMES[2]:
            means["decode"] = {"mean_s": 0.2 + slow - 1}
        over = None if name == NAMES[0] else speedup(plain[NAMES[0]], rounds)
        made[name] = {
            "format": name,
            "status": "ok",
            "reason": None,
            "pipeline": [
                {"whole": as_dict(summarize(1, rounds, speedup=over)), "stages": means},
                {
                    "whole": as_dict(summarize(1, other)),
                    "stages": means,
                    "over_reference": as_dict(speedup(rounds, other)),
                },
            ],
        }
    return made


def checked(slow: float) -> dict[str, bool]:
    generator = np.random.default_rng(4)
    kept = Sessions()

    def measure(names: dict[str, str], options: Any) -> dict[str, Any]:
        assert (tuple(names), set(names.values())) == (NAMES, {"onnx_fp32"})
        assert options.pipeline
        assert encoded.applies("pillow_draft", None)  # type: ignore[arg-type]
        return rows(generator, slow)

    before = encoded.applies
    made = list(audit_pipeline.same_and_slower(measure, kept, 20, 100))
    assert encoded.applies is before
    assert len(kept.of("pipeline")) == 20
    return {f"{planted}: {demand}": met for planted, demand, _, met in made}


def test_the_same_twice_holds_and_a_slow_decoder_is_found_in_its_stage() -> None:
    outcomes = checked(1.05)
    assert len(outcomes) == 8
    assert all(outcomes.values())
    assert sum("under two names" in name for name in outcomes) == 6


def test_a_decoder_that_is_not_slower_is_not_found() -> None:
    missed = [name for name, met in checked(1.0).items() if not met]
    assert any(name.startswith("a decoder that takes 5 % of the whole longer") for name in missed)


def test_a_row_without_a_pipeline_ends_the_audit_with_its_reason() -> None:
    row = {"format": "again", "status": "ok", "reason": None, "pipeline": []}
    with pytest.raises(RuntimeError, match=r"again: ok \(no files\)"):
        audit_pipeline.cells_of({**row, "pipeline_reason": "no files"})


def test_the_planted_decoder_takes_a_twentieth_of_the_whole_longer(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    path = ROOT / "scripts" / "planted_formats" / "slow_decoder.py"
    spec = importlib.util.spec_from_file_location("slow_decoder", path)
    assert spec
    assert spec.loader
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    now = 0.0

    def clock() -> float:
        nonlocal now
        now += 1e-6  # so that waiting ends
        return now

    def decode(*_: Any) -> str:
        nonlocal now
        now += 2.0
        return "image"

    monkeypatch.setattr(module.time, "perf_counter", clock)
    monkeypatch.setattr(predict_images, "read_image", decode)
    decoder = module.SlowDecoder()
    decoder.end()  # a call that did not begin with a file
    wholes = []
    for _ in range(4):
        began = now
        assert decoder("file") == "image"
        now += 8.0  # the other stages
        decoder.end()
        wholes.append(now - began)
    assert wholes == pytest.approx([10.0, 10.5, 10.5, 10.5], rel=1e-3)
