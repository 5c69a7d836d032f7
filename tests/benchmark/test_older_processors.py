"""Rows that answer otherwise on an older processor: found, told and not recommended."""

from __future__ import annotations

import os
from dataclasses import replace
from pathlib import Path
from typing import Any

import msgspec
import numpy as np
import pytest
from numpy.typing import NDArray

from src.benchmark import results as figures
from src.benchmark import row_instruction_sets
from src.benchmark.options import BenchmarkOptions
from src.benchmark.row_embedded import RowEmbedded
from src.benchmark.statistics.verdict import fails_on, keeps_budget
from src.benchmark.suite import measure, measure_unless_done
from src.errors import UsageError
from src.report.sections.report import report_of
from src.run.folder import Run
from src.run.instruction_sets import InstructionSetAnswers
from src.run.reading import convert
from src.run.record import InvalidValueError
from src.run.results import Results
from src.run.row import Row
from src.shipped.accuracy import LEAST_SAME
from src.system import cpuid_mask, emulation
from src.system.cpuid_mask import CannotHideError, InstructionSet
from src.worker.answer import Logits
from src.worker.errors import TimedOutError
from src.worker.process import WorkerProcess
from tests.benchmark.planted_formats import FEW, Data, only, silent
from tests.report.planted import row as planted_row

OPTIONS = replace(FEW, also_as=["avx2", "avx512"])


@pytest.fixture
def planted(monkeypatch: pytest.MonkeyPatch) -> None:
    """Tell the planted formats which instruction set to answer as; nothing is hidden."""

    def hiding(instruction_set: InstructionSet) -> dict[str, str]:
        if instruction_set == "avx512_vnni":
            raise CannotHideError("not on this machine")
        return {"PLANTED_INSTRUCTION_SET": instruction_set}

    monkeypatch.setattr(cpuid_mask, "hiding", hiding)


def answers_of(measured: Results, name: str) -> list[InstructionSetAnswers]:
    row = measured.row(name, "cpu")
    assert row is not None
    return row.instruction_sets


@pytest.mark.usefixtures("planted")
def test_a_file_that_saturates_on_an_older_processor_fails_there_only(run: Run) -> None:
    only(run, "eager", "saturating-on-avx2")
    measured = measure(run, Data(), OPTIONS, silent)
    assert run.read_benchmark() == measured
    row = measured.row("saturating-on-avx2", "cpu")
    assert row is not None
    assert row.verdict == "same"
    there, elsewhere = row.instruction_sets
    assert (there.instruction_set, there.status, there.verdict) == ("avx2", "ok", "fail")
    assert there.accuracy is not None
    assert there.accuracy.paired is not None
    assert there.accuracy.paired.delta_top1 < -0.5
    assert there.changed == 50
    assert (elsewhere.instruction_set, elsewhere.verdict) == ("avx512", "same")
    assert elsewhere.changed == 0
    assert not keeps_budget(row, "eager")
    assert measured.recommended == {"cpu": "eager"}
    assert fails_on(row) == ["avx2"]
    assert [answers.verdict for answers in answers_of(measured, "eager")] == ["same", "same"]


@pytest.mark.usefixtures("planted")
def test_a_file_that_crashes_on_an_older_processor_loses_nothing_else(run: Run) -> None:
    only(run, "eager", "crashing-on-avx512")
    measured = measure(run, Data(), OPTIONS, silent)
    fine, crashed = answers_of(measured, "crashing-on-avx512")
    assert (fine.status, fine.verdict) == ("ok", "same")
    assert (crashed.status, crashed.accuracy) == ("failed", None)
    assert crashed.reason is not None
    assert "SIGABRT" in crashed.reason
    assert measured.recommended == {"cpu": "eager"}
    section = report_of(measured).instruction_sets
    assert section is not None
    assert any("it does not run (" in sentence for sentence in section.sentences)


@pytest.mark.usefixtures("planted")
def test_an_instruction_set_that_cannot_be_tried_is_skipped_with_the_reason(run: Run) -> None:
    only(run, "eager", "talking")
    options = replace(OPTIONS, also_as=["avx512_vnni"])
    measured = measure(run, Data(), options, silent)
    (answers,) = answers_of(measured, "talking")
    assert (answers.status, answers.reason) == ("skipped", "not on this machine")
    row = measured.row("talking", "cpu")
    assert row is not None
    assert keeps_budget(row, "eager")  # nothing is known there
    section = report_of(measured).instruction_sets
    assert section is not None
    assert not section.sentences
    assert "talking on cpu with avx512_vnni: skipped (not on this machine)" in section.notes


@pytest.mark.usefixtures("planted")
def test_what_could_not_be_tried_is_measured_again_once_it_can(
    run: Run, monkeypatch: pytest.MonkeyPatch
) -> None:
    only(run, "eager", "talking")
    options = replace(OPTIONS, also_as=["avx512_vnni"])
    first = measure_unless_done(run, Data(), options, silent)
    assert measure_unless_done(run, Data(), options, silent).measured_at == first.measured_at
    monkeypatch.setattr(cpuid_mask, "hiding", lambda name: {"PLANTED_INSTRUCTION_SET": name})
    (answers,) = answers_of(measure_unless_done(run, Data(), options, silent), "talking")
    assert answers.verdict == "same"


@pytest.mark.usefixtures("planted")
def test_answers_are_computed_later_as_at_once(run: Run, monkeypatch: pytest.MonkeyPatch) -> None:
    only(run, "eager", "saturating-on-avx2")
    with monkeypatch.context() as patched:

        def failing(*_: object) -> None:
            raise OSError("no space")

        patched.setattr(figures, "recommend", failing)
        with pytest.raises(OSError, match="no space"):
            measure(run, Data(), OPTIONS, silent)
    reports: list[object] = []
    measured = measure_unless_done(run, Data(), OPTIONS, lambda *texts: reports.append(texts[0]))
    assert any("figures are made now" in str(text) for text in reports)
    there, elsewhere = answers_of(measured, "saturating-on-avx2")
    assert (there.verdict, there.changed) == ("fail", 50)
    assert (elsewhere.verdict, elsewhere.changed) == ("same", 0)


@pytest.mark.usefixtures("planted")
def test_the_report_tells_where_a_file_holds_and_where_it_does_not(run: Run) -> None:
    only(run, "eager", "saturating-on-avx2")
    section = report_of(measure(run, Data(), OPTIONS, silent)).instruction_sets
    assert section is not None
    assert [row.name for row in section.table.rows] == [
        "eager avx2",
        "eager avx512",
        "saturating-on-avx2 avx2",
        "saturating-on-avx2 avx512",
    ]
    assert [row.cells[-1].verdict for row in section.table.rows] == ["pass", "pass", "fail", "pass"]
    (told,) = [text for text in section.sentences if "saturating" in text]
    assert told.startswith("saturating-on-avx2 on cpu with avx2: 50 of 50 answers are others")
    assert told.endswith("of eager: do not ship it there.")


QEMU = """#!/bin/sh
if [ "$1" = --version ]; then echo "qemu-x86_64 version VERSION (Debian)"; exit; fi
[ "$1 $2" = "-cpu Haswell" ] || exit 3
shift 2
PLANTED_INSTRUCTION_SET=avx2 exec "$@"
"""


@pytest.fixture
def emulator(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> Path:
    """A machine that cannot hide instruction sets, with a program in place of QEMU."""

    def hiding(instruction_set: InstructionSet) -> dict[str, str]:
        raise CannotHideError("no CPUID faulting")

    monkeypatch.setattr(cpuid_mask, "hiding", hiding)
    monkeypatch.setattr("platform.machine", lambda: "x86_64")
    path = tmp_path / "bin" / "qemu-x86_64"
    path.parent.mkdir()
    path.write_text(QEMU.replace("VERSION", "7.2.9"))
    path.chmod(0o755)
    monkeypatch.setenv("PATH", f"{path.parent}:{os.environ['PATH']}")
    return path


def test_where_nothing_can_be_hidden_an_older_processor_is_emulated_on_fewer_images(
    run: Run, emulator: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    only(run, "eager", "saturating-on-avx2")
    monkeypatch.setattr(row_instruction_sets, "EMULATED_SECONDS", 1e-9)  # one batch
    measured = measure(run, Data(), OPTIONS, silent)
    assert run.read_benchmark() == measured
    emulated, other = answers_of(measured, "saturating-on-avx2")
    assert emulated.emulated == "qemu-x86_64 7.2.9, Haswell"
    assert emulated.accuracy is not None
    assert emulated.accuracy.images == emulated.changed == row_instruction_sets.EMULATED_BATCH
    assert (other.status, other.reason) == ("skipped", "no CPUID faulting")  # QEMU has no AVX-512
    section = report_of(measured).instruction_sets
    assert section is not None
    assert section.table.rows[0].cells[1].text == "avx2 (emulated)"
    assert "Emulated by qemu-x86_64 7.2.9, Haswell" in " ".join(section.notes)


def test_a_file_that_is_too_slow_under_emulation_is_skipped_and_not_tried_again(
    run: Run, emulator: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    only(run, "eager", "talking")

    def slow(*_: object) -> None:
        raise TimedOutError("no answer to load within 1 s; killed")

    monkeypatch.setattr(row_instruction_sets, "_answered_in_time", slow)
    options = replace(OPTIONS, also_as=["avx2"])
    first = measure_unless_done(run, Data(), options, silent)
    (answers,) = answers_of(first, "talking")
    assert (answers.status, answers.keeps_budget) == ("skipped", None)
    assert "no answer to load within 1 s" in str(answers.reason)
    assert measure_unless_done(run, Data(), options, silent) == first


@pytest.mark.parametrize("images", [LEAST_SAME - 1, LEAST_SAME])
def test_the_same_logits_on_few_emulated_images_are_no_answer(
    run: Run, emulator: Path, monkeypatch: pytest.MonkeyPatch, images: int
) -> None:
    only(run, "eager")  # which is compared with itself
    taken: list[int] = []

    def answered(
        worker: WorkerProcess,
        images_: NDArray[np.float32],
        order: NDArray[np.int64],
        *_: Any,
    ) -> Logits:
        count = min(len(images_), images - sum(taken))
        taken.append(count)
        return worker.predict(images_[order[:count]]) if count else np.empty((0, 0), np.float32)

    monkeypatch.setattr(row_instruction_sets, "_answered_in_time", answered)
    measured = measure(run, Data(), replace(OPTIONS, also_as=["avx2"]), silent)
    (answers,) = answers_of(measured, "eager")
    assert answers.accuracy is not None
    assert answers.accuracy.images == images
    is_enough = images == LEAST_SAME
    assert answers.verdict == ("same" if is_enough else "inconclusive")
    assert answers.keeps_budget == (True if is_enough else None)
    section = report_of(measured).instruction_sets
    assert section is not None
    (row,) = section.table.rows
    assert row.cells[-1].text == ("same network" if is_enough else "too few images to tell")
    assert any("too few to tell whether" in sentence for sentence in section.sentences) != is_enough


def test_a_claim_of_the_same_network_on_few_images_in_an_older_file_is_no_answer() -> None:
    accuracy = convert(planted_row("onnx"), Row).accuracy
    assert accuracy is not None
    few = msgspec.structs.replace(accuracy, images=2)
    there = InstructionSetAnswers(
        instruction_set="avx2", status="ok", accuracy=few, verdict="same", changed=0
    )
    assert there.keeps_budget  # natively, on all test images, however many there are
    assert msgspec.structs.replace(there, emulated="qemu").keeps_budget is None


def test_an_emulation_whose_time_is_up_holds_no_memory(
    run: Run, emulator: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    closed: list[bool] = []
    close = WorkerProcess.close

    def closing(worker: WorkerProcess) -> None:
        closed.append(worker.emulator is not None)
        close(worker)

    only(run, "eager")
    monkeypatch.setattr(row_instruction_sets, "EMULATED_SECONDS", 1e-9)
    monkeypatch.setattr(WorkerProcess, "close", closing)
    closed_while_scoring: list[bool] = []
    monkeypatch.setattr(RowEmbedded, "add", lambda *_: closed_while_scoring.extend(closed))
    measure(run, Data(), replace(OPTIONS, also_as=["avx2"]), silent)
    assert True in closed_while_scoring


def test_few_emulated_images_that_leave_the_budget_open_decide_nothing() -> None:
    accuracy = convert(planted_row("onnx"), Row).accuracy
    there = InstructionSetAnswers(
        instruction_set="avx2", status="ok", accuracy=accuracy, verdict="inconclusive", changed=0
    )
    assert there.keeps_budget is False
    assert msgspec.structs.replace(there, emulated="qemu").keeps_budget is None
    failed = msgspec.structs.replace(there, emulated="qemu", verdict="fail")
    assert failed.keeps_budget is False


def test_without_a_fitting_emulator_the_reason_names_the_remedy(
    emulator: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    assert emulation.restricting("avx2").emulator is not None
    emulation.version_of.cache_clear()
    emulator.write_text(QEMU.replace("VERSION", "6.2.0"))
    with pytest.raises(CannotHideError, match=r"faulting, and qemu-x86_64 6.2.0 emulates no AVX2"):
        emulation.restricting("avx2")
    monkeypatch.setenv("PATH", "/nowhere")
    with pytest.raises(CannotHideError, match=r"no qemu-x86_64 to emulate one; install qemu-user"):
        emulation.restricting("avx2")


def test_nothing_is_tried_unless_it_is_asked_for(well_behaved: Run) -> None:
    measured = measure(well_behaved, Data(), FEW, silent)
    assert [row.instruction_sets for row in measured.rows] == [[], []]
    assert report_of(measured).instruction_sets is None


def test_an_instruction_set_is_named_once() -> None:
    with pytest.raises(UsageError, match=r"benchmark\.also_as: expected each instruction set once"):
        BenchmarkOptions(also_as=["avx2", "avx2"])


def test_figures_without_an_answer_are_refused() -> None:
    with pytest.raises(InvalidValueError):
        InstructionSetAnswers(instruction_set="avx2", status="ok")
    with pytest.raises(InvalidValueError):
        InstructionSetAnswers(instruction_set="avx2", status="skipped", changed=1)
