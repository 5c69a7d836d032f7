"""Comparison of runs: groups that are ranked together, and the file to ship."""

from __future__ import annotations

import json
import shutil
from pathlib import Path
from typing import Any

import pytest
from rich.console import Console

from src.compare import __main__ as command
from src.compare.collection import collect
from src.compare.comparison import Comparison
from src.compare.page import html_page, markdown_page
from src.compare.stage import compare_runs
from src.errors import LightshipError, UsageError
from tests.compare.test_regression import measurement, same_hour
from tests.report.planted import FAILED, latency, of_version_1, results, row
from tests.report.writers.parsed_page import Page
from tests.report.writers.test_html import SCRIPT


def keep(folder: Path, name: str, measured: dict[str, Any]) -> Path:
    """A run folder with a measurement."""
    run = folder / name / "version_0"
    run.mkdir(parents=True)
    checkpoint = {**measured["checkpoint"], "sha256": f"network {name}"}
    content = {
        **measured,
        "run": f"{name}/version_0",
        "model": name,
        "checkpoint": checkpoint,
    }
    (run / "benchmark.json").write_text(json.dumps(content))
    return run


def file(name: str, p50: float, top1: float, verdict: str = "pass") -> dict[str, Any]:
    entry = row(name, latency=[latency(1, p50), latency(8, 8 * p50)], verdict=verdict)
    entry["accuracy"]["top1"] = top1
    return entry


@pytest.fixture
def three(tmp_path: Path) -> Path:
    """Two networks measured in one place, and one in another."""
    keep(tmp_path, "small", results(file("eager", 0.008, 0.95), file("int8", 0.002, 0.94)))
    large = results(file("eager", 0.03, 0.99), file("int8", 0.006, 0.985), row("onnx", **FAILED))
    keep(tmp_path, "large", large)
    elsewhere = results(file("eager", 0.001, 0.99))
    elsewhere["environment"] |= {"threads": 8}
    keep(tmp_path, "there", elsewhere)
    return tmp_path


def comparison(folder: Path, seconds: float | None = None) -> Comparison:
    return Comparison.of(collect([str(folder)]), None, seconds)


def table(compared: Comparison) -> dict[str, dict[str, str]]:
    columns = compared.columns()
    return {
        f"{candidate.model} {candidate.row.format}": {
            column.head.replace("\n", " "): column.cell(candidate).text for column in columns
        }
        for candidate in compared.rows()
    }


def test_latencies_of_two_places_stand_in_two_columns_and_it_says_why(three: Path) -> None:
    compared = comparison(three)
    cells = table(compared)
    assert cells["large int8"]["batch 1 p50 ms place A"] == "6.00"
    assert cells["large int8"]["batch 1 p50 ms place B"] == "-"
    assert cells["there eager"]["batch 1 p50 ms place A"] == "-"
    assert cells["there eager"]["batch 1 p50 ms place B"] == "1.00"
    (why,) = [note for note in compared.notes() if "not ranked together" in note]
    assert "place A: a CPU, 2 threads; place B: a CPU, 8 threads" in why
    assert "large/version_0, onnx on cpu: failed (it <b>broke</b> | badly)" in compared.notes()


def test_runs_that_are_judged_by_different_budgets_are_named_with_them(tmp_path: Path) -> None:
    keep(tmp_path, "strict", results(file("eager", 0.03, 0.95), file("int8", 0.008, 0.94)))
    assert "accuracy budget of each run" not in " ".join(comparison(tmp_path, 0.01).notes())
    assert "of accuracy, on" not in comparison(tmp_path, 0.01).answers()[0]
    loose = results(file("eager", 0.02, 0.99), file("int8", 0.006, 0.96))
    loose["options"]["max_accuracy_drop"] = 0.05
    keep(tmp_path, "loose", loose)
    compared = comparison(tmp_path, 0.01)
    (note,) = [note for note in compared.notes() if "accuracy budget of each run" in note]
    assert "(loose/version_0: 5 points; strict/version_0: 1 point)" in note
    (answer,) = compared.answers()
    assert (
        "loose as int8, p50 6.00 ms, top-1 96.00 %, 12.3 MB, within 5 points of accuracy" in answer
    )
    for page in (markdown_page(compared), html_page(compared)):
        assert "loose/version_0: 5 points" in page


def test_accuracies_on_other_images_stand_in_two_columns(three: Path) -> None:
    other = results(file("eager", 0.004, 0.5))
    other["dataset"] |= {"name": "cifar10", "images": 10_000}
    keep(three, "other", other)
    compared = comparison(three)
    assert table(compared)["other eager"]["top-1 % set A"] == "50.00"
    assert table(compared)["large eager"]["top-1 % set A"] == "-"
    assert [note for note in compared.notes() if "not equally hard" in note]
    # Nothing of one set of images keeps what was scored on another off the front.
    assert table(compared)["other eager"]["on the front"] == "yes"


def scored_on(folder: Path, name: str, sha256: str | None) -> None:
    """A run of one file, scored on images of this hash; None for a measurement of version 1."""
    measured = results(file("eager", 0.004, 0.9))
    measured["dataset"]["sha256"] = sha256
    keep(folder, name, measured if sha256 else of_version_1(measured))


@pytest.mark.parametrize(
    ("hashes", "sets", "assumed"),
    [
        (["a" * 64, "a" * 64], 1, []),
        (["a" * 64, "b" * 64], 2, []),
        ([None, None], 1, ["run0/version_0", "run1/version_0"]),
        (["a" * 64, None], 1, ["run1/version_0"]),
        (["a" * 64, "a" * 64, None], 1, ["run2/version_0"]),
        # Whose images an older one was scored on cannot be told.
        (["a" * 64, "b" * 64, None], 3, []),
        (["a" * 64, "b" * 64, None, None], 3, ["run2/version_0", "run3/version_0"]),
        ([None], 1, []),
    ],
)
def test_files_of_other_test_images_are_not_ranked_together_whatever_their_name_and_number(
    tmp_path: Path, hashes: list[str | None], sets: int, assumed: list[str]
) -> None:
    for number, sha256 in enumerate(hashes):
        scored_on(tmp_path, f"run{number}", sha256)
    compared = comparison(tmp_path, 0.01)
    assert (len(compared.test_sets), len(compared.answers())) == (sets, sets)
    notes = [note for note in compared.notes() if "does not say which images" in note]
    assumed_runs = [note.split()[0] for note in notes]
    assert assumed_runs == assumed
    if "b" * 64 in hashes:
        (why,) = [note for note in compared.notes() if "not equally hard" in note]
        assert "540 test images of digits, set aaaaaaaa" in why
    assert markdown_page(compared)


def test_an_older_measurement_of_another_number_of_images_is_a_separate_set(tmp_path: Path) -> None:
    scored_on(tmp_path, "new", "a" * 64)
    older = results(file("eager", 0.004, 0.9))
    older["dataset"]["images"] = 100
    keep(tmp_path, "old", of_version_1(older))
    assert len(comparison(tmp_path).test_sets) == 2


def test_the_same_network_is_an_answer_and_is_called_so(tmp_path: Path) -> None:
    slow = file("eager", 0.02, 0.9, verdict="same")
    keep(tmp_path, "one", results(slow, file("onnx", 0.001, 0.9, verdict="same")))
    compared = comparison(tmp_path, 0.005)
    assert "one as onnx" in compared.answers()[0]
    assert table(compared)["one onnx"]["verdict"] == "same network"
    assert "verdict same network" in comparison(tmp_path, 0.0001).answers()[0]


def test_the_front_is_over_every_model_and_format_of_a_place(three: Path) -> None:
    cells = table(comparison(three))
    on_front = [name for name in cells if cells[name]["on the front"] == "yes"]
    assert on_front == ["there eager", "small int8", "large int8", "large eager"]


@pytest.mark.parametrize(
    ("milliseconds", "answer"),
    [
        (10, "large as int8, p50 6.00 ms, top-1 98.50 %"),
        (100, "large as eager, p50 30.00 ms, top-1 99.00 %"),
        (4, "small as int8"),
        (6, "small as int8"),  # under means under
        (1, "nothing that keeps its accuracy budget; the fastest is small as int8"),
    ],
)
def test_which_file_to_ship_below_a_latency(three: Path, milliseconds: int, answer: str) -> None:
    first, second = comparison(three, milliseconds / 1e3).answers()
    assert first.startswith(f"Under {milliseconds} ms at batch 1 on a CPU, 2 threads: {answer}")
    assert "on a CPU, 8 threads" in second


@pytest.mark.parametrize(
    ("processes", "milliseconds", "doubt"),
    [
        (1, 9, ""),  # 6 ms, of one process: from 4.8 to 7.5
        (1, 7, "Its 95 % interval [4.80, 7.50] ms, assumed for one process, reaches the limit"),
        (4, 20, ""),
        (4, 6.5, "[4.27, 7.43] ms reaches the limit: more processes would tell."),
        (0, 9, "With fewer than two rounds, nothing shows that it is under the limit"),
    ],
)
def test_an_interval_that_reaches_the_limit_is_told(
    tmp_path: Path, processes: int, milliseconds: float, doubt: str
) -> None:
    times = [0.006] * 4 if processes < 2 else [0.005, 0.006, 0.007, 0.0048]
    seconds = {str(number): [time] for number, time in enumerate(times[: processes * 4 or 1])}
    of_round = {number: int(number) if processes > 1 else 0 for number in seconds}
    changes = {"process_of_round": of_round, "processes": max(processes, 1), "speedup": None}
    timed = row("eager", latency=[latency(1, 0.006, seconds=seconds, **changes)])
    keep(tmp_path, "one", results(timed))
    (answer,) = comparison(tmp_path, milliseconds / 1e3).answers()
    assert "one as eager, p50 6.00 ms" in answer
    assert doubt in answer
    assert answer.endswith(").") is not bool(doubt)


def test_an_interval_above_the_limit_is_not_said_to_reach_it(tmp_path: Path) -> None:
    # The fast process has most calls, so their median is below; the processes count alike.
    seconds = {str(number): [0.006] for number in range(8)} | {"0": [0.0049] * 30}
    of_round = {number: int(number) // 2 for number in seconds}
    changes = {"process_of_round": of_round, "processes": 4, "speedup": None}
    seconds["1"] = [0.0059]
    timed = row("eager", latency=[latency(1, 0.0049, seconds=seconds, **changes)])
    keep(tmp_path, "one", results(timed))
    (answer,) = comparison(tmp_path, 0.005).answers()
    assert "ms is above the limit, though the median of all its calls is below" in answer
    assert "reaches" not in answer
    assert "processes would tell" not in answer


def test_the_best_of_several_networks_is_said_to_be_chosen_by_the_test_images(
    three: Path, tmp_path: Path
) -> None:
    first, second = comparison(three, 0.1).answers()
    assert "the most accurate of 2 runs on the test images, so expect a little less" in first
    assert "expect a little less" not in second
    keep(tmp_path / "alone", "one", results(file("eager", 0.02, 0.9)))
    assert "expect a little less" not in comparison(tmp_path / "alone", 0.1).answers()[0]


def test_a_file_not_shown_to_keep_the_budget_is_not_an_answer(tmp_path: Path) -> None:
    quick = file("int8", 0.001, 0.99, verdict="inconclusive")
    keep(tmp_path, "one", results(file("eager", 0.008, 0.95, verdict="fail"), quick))
    assert "one as eager" in comparison(tmp_path, 0.01).answers()[0]
    assert "nothing that keeps" in comparison(tmp_path, 0.005).answers()[0]


def test_a_batch_size_that_one_run_lacks_is_refused(three: Path) -> None:
    keep(three, "batches", results(row("eager", latency=[latency(4, 0.1)])))
    with pytest.raises(UsageError, match=r"--batch: .*none in common: .*batches/version_0 \[4\]"):
        comparison(three)


def test_runs_of_the_same_name_are_named_by_their_path(tmp_path: Path) -> None:
    for place in ("old", "new"):
        keep(tmp_path / place, "small", results(file("eager", 0.008, 0.95)))
    names = [each.name for each in collect([str(tmp_path / "old"), str(tmp_path / "new")])]
    assert [Path(name).parts[-3:] for name in names] == [
        ("old", "small", "version_0"),
        ("new", "small", "version_0"),
    ]


def test_the_html_page_has_the_same_figures_and_loads_nothing(three: Path) -> None:
    compared = comparison(three, 0.01)
    seen = Page(html_page(compared))
    for each, cells in zip(compared.rows(), seen.rows_in_order, strict=True):
        p50 = [value for (_, value), head in zip(cells, seen.heads, strict=True) if "p50" in head]
        assert [float(str(value)) for value in p50 if value] == [each.cell.p50_s]
    addresses = [attributes.get(name) for _, attributes in seen.tags for name in ("src", "href")]
    assert {str(it)[0] for it in addresses if it} <= {"#"}
    for answer in compared.answers():
        assert answer in "".join(seen.words)
        assert answer in markdown_page(compared)


def test_markup_in_names_stays_text(tmp_path: Path) -> None:
    run = keep(tmp_path, "small", results(file("eager", 0.008, 0.95)))
    content = json.loads((run / "benchmark.json").read_text())
    content |= {"model": SCRIPT, "run": SCRIPT}
    (run / "benchmark.json").write_text(json.dumps(content))
    compared = comparison(tmp_path, 0.01)
    assert [tag for tag, _ in Page(html_page(compared)).tags].count("script") == 1
    assert "<script" not in markdown_page(compared)


def test_a_comparison_is_written_and_printed(three: Path) -> None:
    console = Console(record=True, width=200)
    compare_runs(collect([str(three)]), console, seconds=0.01)
    printed = console.export_text()
    assert "Under 10 ms" in printed
    assert (three / "comparison.html").read_text().startswith("<!doctype html>")
    assert "| large as int8 |" in (three / "comparison.md").read_text()


def guarded(folder: Path, times: float, *options: str) -> None:
    old = measurement(3)
    keep(folder / "old", "run", old)
    keep(folder / "new", "run", same_hour(old, {"onnx_int8": times}))
    command.main([str(folder / "old"), str(folder / "new"), *options])


def test_the_command_fails_on_a_regression_and_names_the_line(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    with pytest.raises(LightshipError, match=r"1 of \d+ comparisons regressed"):
        guarded(tmp_path, 1.2, "--max-slowdown", "5%", "--max-drop", "0.5")
    third = capsys.readouterr().out.splitlines()[2]
    assert third.startswith("regressed: onnx_int8 on cpu, batch 1: +20.0 %")


def test_the_command_succeeds_without_a_regression(tmp_path: Path) -> None:
    guarded(tmp_path, 1.0, "--max-slowdown=5%", "--max-drop=0.5", "--strict")


def test_runs_of_a_folder_are_listed_in_the_order_of_their_numbers(tmp_path: Path) -> None:
    numbers = (10, 9, 100, 1)
    for number in numbers:
        run = keep(tmp_path / f"v{number}", "run", measurement(3))
        content = json.loads((run / "benchmark.json").read_text())
        for folder in (tmp_path / f"version_{number}", tmp_path / f"{number}_mine" / "x"):
            folder.mkdir(parents=True)
            content["run"] = str(folder.relative_to(tmp_path))
            (folder / "benchmark.json").write_text(json.dumps(content))
        shutil.rmtree(run.parents[1])
    assert [run.name for run in collect([str(tmp_path)])] == [
        *(f"{number}_mine/x" for number in sorted(numbers)),
        *(f"version_{number}" for number in sorted(numbers)),
    ]


def test_a_regression_is_searched_only_between_two_runs_that_are_named(tmp_path: Path) -> None:
    """The order in a folder is none: ``version_10`` may be taken for the older one."""
    for number in (9, 10):
        keep(tmp_path / "models", f"net{number}", measurement(3))
    folder, first, second = (str(tmp_path / name) for name in ("models", "a", "b"))
    for name in (first, second):
        keep(Path(name), "run", measurement(3))
    told = f"{folder}, a folder with 2 of them"
    twice = f"{second}/run/version_0"
    refused: dict[str, list[str]] = {
        told: [folder],
        f"{first} and {told}": [first, folder],
        f"{told} and {first}": [folder, first],
        f"{told} and {told}": [folder, folder],
        first: [first],
        f"{first} and {first}": [first, first],
        f"{second} and {twice}": [second, twice],  # one measurement
        f"{first} and {second} and {folder}/net9": [first, second, f"{folder}/net9"],
    }
    for found, arguments in refused.items():
        with pytest.raises(UsageError) as raised:
            command.main([*arguments, "--max-drop", "0.5"])
        assert "RUN: expected two measurements with --max-slowdown or" in str(raised.value)
        assert f"; found {found}; name two runs" in str(raised.value), arguments
    command.main([f"{folder}/net10", f"{folder}/net9", "--max-drop", "0.5"])
    command.main([first, f"{second}/run/version_0/benchmark.json", "--max-drop", "0.5"])


@pytest.mark.parametrize(
    ("options", "message"),
    [
        (["--max-slowdown", "5"], r"--max-slowdown: expected a percentage as 5%; found 5;"),
        (["--max-drop", "5%"], r"--max-drop: expected points of percent"),
        (["--max-drop", "1", "--under", "10ms"], r"--under: .*no effect"),
        (["--clock", "--max-drop", "1"], r"--clock: .*no effect"),
        (["--strict"], r"--strict: .*no effect"),
        (["--under", "10"], r"--under: expected a time as 10ms"),
        (["--under", "0ms"], r"--under: expected a time as 10ms"),
        (["--bath", "8"], r"command line: .*--bath"),
        (["--batch", "3"], r"--batch: .*found 3: run/version_0 \[1\]"),
        (["--output", "/nowhere"], r"--output: expected a folder"),
        (["--max-drop", "1"], r"RUN: expected two"),
        (["missing"], r"RUN: .*missing, which does not exist"),
    ],
)
def test_a_usage_error_is_one_line(tmp_path: Path, options: list[str], message: str) -> None:
    keep(tmp_path, "run", measurement(3))
    with pytest.raises(UsageError, match=message):
        command.main([str(tmp_path), *options])
