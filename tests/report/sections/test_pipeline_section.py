"""The section on the time from an image file to its label, and its traces on all pages."""

from __future__ import annotations

import io
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from rich.console import Console

from src.report.charts.measured import charts
from src.report.sections import pipeline as sections
from src.report.sections import stages
from src.report.sections.report import Report
from src.report.sections.scalars import scalars
from src.report.writers import console
from src.run.decoder_choice import faster
from src.run.pipeline import STAGES, Pipeline
from src.run.reading import convert
from tests.report.pages import html_page, markdown_page, record, report
from tests.report.planted import drafted, pipeline, results, row


def measured(*pipelines: dict[str, Any], **sample: Any) -> dict[str, Any]:
    content = results(row("onnx_int8", pipeline=list(pipelines)), row("eager"))
    content["image_sample"] |= sample
    return content


def section(content: dict[str, Any]) -> Any:
    made = report(content).pipeline
    assert made is not None
    return made


def test_the_dominant_stage_is_named_with_what_helps() -> None:
    first, cost = section(measured(pipeline())).sentences
    assert first == (
        "From the bytes of an image file to its label, onnx_int8 on cpu takes 10.00 ms in the mean "
        "(decode 6.00, resize 2.00, convert 0.50, infer 1.00, label 0.50). 60% of it is decoding: "
        "smaller or less compressed image files, or a faster decoder, help more than a faster "
        "network."
    )
    assert cost == (
        "One process of onnx_int8 with pillow classifies 100.0 images a second, a million in 2.8 "
        "hours, which take 4.2 hours of a core."
    )


@pytest.mark.parametrize("stage", STAGES)
def test_every_stage_can_be_the_dominant_one(stage: str) -> None:
    slow = pipeline()
    slow["stages"][stage] |= {"mean_s": 0.09}
    text = section(measured(slow)).sentences[0]
    assert stages.NAMES[stage] in text  # type: ignore[index]
    remedy = stages.REMEDIES[stage]  # type: ignore[index]
    assert ("export.input=uint8" if stage == "convert" else remedy) in text


@pytest.mark.parametrize(
    ("verdict", "words"),
    [
        ("pass", "it keeps the budget"),
        ("fail", "it does not keep the budget"),
        ("inconclusive", "whether it keeps the budget is open"),
    ],
)
def test_another_decoder_is_named_with_its_gain_and_its_verdict(verdict: str, words: str) -> None:
    content = measured(pipeline(), drafted(answers={"verdict": verdict}))
    _, text, cost = section(content).sentences
    assert text == (
        "Decoded by pillow_draft, it is 2.00 [1.90, 2.10] times as fast; 3 of 540 answers change, "
        f"-0.4 points [-1.4, +0.4]: {words}."
    )
    # The cost is that of the fastest that keeps the budget.
    assert ("with pillow_draft" in cost) == (verdict == "pass")


@pytest.mark.parametrize(
    ("verdict", "words"),
    [
        ("fail", "it does not keep the budget"),
        ("inconclusive", "whether it keeps the budget is open"),
    ],
)
def test_a_decoder_that_loses_too_much_together_with_its_file_is_named_and_not_used(
    verdict: str, words: str
) -> None:
    in_all = {"verdict": verdict, "delta_top1": -0.016, "delta_low": -0.021, "delta_high": -0.012}
    content = measured(pipeline(), drafted(against_baseline=in_all))
    made = section(content)
    _, text, cost = made.sentences
    assert text.endswith(
        "-0.4 points [-1.4, +0.4]: it keeps the budget; with the file's own losses, -1.6 points "
        f"[-2.1, -1.2] beside eager, {words}."
    )
    assert "with pillow classifies" in cost
    assert "keeps the budget in both comparisons" in " ".join(made.notes)
    assert [cell.text for cell in made.table.rows[1].cells][-1] == verdict
    # In a measurement of before, the file's own answers decide, and there is no such column.
    older = drafted()
    del older["against_baseline"]
    made = section(measured(pipeline(), older))
    assert "with pillow_draft" in made.sentences[-1]
    assert made.table.heads[-1].line == "verdict"


def test_a_measurement_that_does_not_tell_the_files_says_that_calls_count() -> None:
    assert "Each image file counts once" in " ".join(section(measured(pipeline())).notes)
    older = pipeline()
    del older["files_of_round"]
    assert "Each call counts once" in " ".join(section(measured(older)).notes)


def test_a_decoder_that_is_not_measurably_faster_is_not_called_faster() -> None:
    even = {"value": 1.01, "low": 0.98, "high": 1.04, "processes": 5}
    _, text, cost = section(measured(pipeline(), drafted(over_reference=even))).sentences
    assert "of another speed by no measurable difference [0.98, 1.04]" not in text
    assert "not measurably faster [0.98, 1.04]" in text
    assert "with pillow classifies" in cost
    wide = {"value": 1.7, "low": 0.2, "high": 20.0, "processes": 2}
    _, text, cost = section(measured(pipeline(), drafted(over_reference=wide))).sentences
    assert "it is of a speed that too few rounds tell [0.20, 20.00]" in text
    assert "with pillow classifies" in cost


def test_changed_answers_have_the_interval_of_their_share() -> None:
    flips = {"flips_low": 0.0019, "flips_high": 0.0162}
    made = section(measured(pipeline(), drafted(answers=flips)))
    assert "3 of 540 answers change [0.19, 1.62] %, -0.4 points" in made.sentences[1]
    (draft,) = [row for row in made.table.rows if "pillow_draft" in row.name]
    assert [cell.interval for cell in draft.cells if cell.figure == "3"] == ["[0.19, 1.62] %"]
    assert "Wilson's 95 % interval of their share" in " ".join(made.notes)


def test_decoders_that_were_left_out_are_named_with_the_reason_and_the_files() -> None:
    content = measured(pipeline())
    missing = {"simplejpeg": "not installed"}
    for entry, left_out in zip(content["rows"], ({"torchvision": "no torch"}, {}), strict=True):
        entry["decoders_left_out"] = missing | left_out
    notes = section(content).notes
    assert notes[-2:] == [
        "The decoder simplejpeg was left out: not installed.",
        "The decoder torchvision was left out with onnx_int8 on cpu: no torch.",
    ]


def of_gain(decoder: str, gain: float, **changes: Any) -> dict[str, Any]:
    interval = {"value": gain, "low": gain - 0.2, "high": gain + 0.2, "processes": 5}
    return drafted(over_reference=interval, **changes) | {"decoder": decoder}


@pytest.mark.parametrize(
    ("gains", "order"),
    [
        ((2.0, 2.5, 3.0), ["opencv", "simplejpeg", "pillow_draft"]),
        ((2.0, 2.1, 2.15), ["pillow_draft", "simplejpeg", "opencv"]),  # leads within the noise
        ((2.0, 2.1, 2.25), ["opencv", "pillow_draft", "simplejpeg"]),
        ((1.1, 2.0, 1.1), ["simplejpeg"]),
    ],
)
def test_a_decoder_is_preferred_for_a_measurable_lead_only(
    gains: tuple[float, ...], order: list[str]
) -> None:
    names = ("pillow_draft", "simplejpeg", "opencv")
    others = [of_gain(name, gain) for name, gain in zip(names, gains, strict=True)]
    (first, _) = record(measured(pipeline(), *others)).rows
    assert [figures.decoder for figures in first.faster_pipelines()] == order


@pytest.mark.parametrize("processes", [1, 2, 5, 16])
@pytest.mark.parametrize("others", [1, 2, 3])
def test_a_lead_that_chance_gives_one_of_several_decoders_ships_none(
    processes: int, others: int
) -> None:
    def of_interval(decoder: str, value: float, reach: float, **answers: Any) -> dict[str, Any]:
        bounds = {"value": value, "low": value / reach, "high": value * reach}
        gain = bounds | {"processes": processes}
        return drafted(over_reference=gain, answers=answers) | {"decoder": decoder}

    lucky = of_interval("pillow_draft", 1.05, 1.049)
    alike = [
        of_interval(name, 0.99, 1.049) for name in ("simplejpeg", "opencv", "torchvision")[:others]
    ]
    (alone, _) = record(measured(pipeline(), lucky)).rows
    assert [figures.decoder for figures in alone.faster_pipelines()] == ["pillow_draft"]
    content = measured(pipeline(), lucky, *alike)
    assert record(content).rows[0].faster_pipelines() == []
    _, text, *_, cost = section(content).sentences
    assert "one may look faster by chance" in text
    assert "with pillow classifies" in cost
    # A decoder that may not be shipped is no further try.
    refused = [other | {"answers": other["answers"] | {"verdict": "fail"}} for other in alike]
    assert record(measured(pipeline(), lucky, *refused)).rows[0].faster_pipelines()
    # Decoders with strong evidence make room for one with less.
    strong = [of_interval(str(other["decoder"]), 3.0, 1.049) for other in alike]
    (first, _) = record(measured(pipeline(), lucky, *strong)).rows
    assert len(first.faster_pipelines()) == 1 + others


def test_decoders_that_are_no_faster_are_seldom_shipped() -> None:
    rng, sessions, shipped = np.random.default_rng(0), 400, 0
    names = ("pillow_draft", "simplejpeg", "opencv", "torchvision")
    for _ in range(sessions):
        reference = rng.normal(0, 0.05, 5)
        tried = []
        for name in names:
            ratios = rng.normal(0, 0.05, 5) - reference
            reach = 2.776 * ratios.std(ddof=1) / 5**0.5
            bounds = np.exp(ratios.mean() + np.array([0, -reach, reach])).tolist()
            gain = dict(zip(("value", "low", "high"), bounds, strict=True)) | {"processes": 5}
            tried.append(convert(drafted(over_reference=gain) | {"decoder": name}, Pipeline))
        shipped += bool(faster(tried))
    assert shipped / sessions < 0.04


def test_the_fastest_of_several_decoders_is_the_one_of_the_cost_and_the_chart() -> None:
    failing = of_gain("opencv", 4.0, answers={"verdict": "fail"})
    content = measured(pipeline(), drafted(), of_gain("simplejpeg", 3.0), failing)
    *_, cost = section(content).sentences
    assert "with simplejpeg classifies" in cost
    (chart,) = [chart for chart in charts(record(content)) if chart.name == "pipeline"]
    (axes,) = chart.draw().axes
    names = [text.get_text().replace("\n", "") for text in axes.get_yticklabels()]
    assert names == ["onnx_int8", "onnx_int8(simplejpeg)"]


def test_the_table_has_every_stage_and_the_whole() -> None:
    table = section(measured(pipeline(), drafted())).table
    assert [head.line for head in table.heads] == [
        *("format", "device", "decoder"),
        *(f"{stage} ms" for stage in STAGES),
        *("whole mean ms", "whole p50 ms", "whole p90 ms", "whole p99 ms", "times eager"),
        *("images/s", "CPU s a 1000 images"),
        *("times pillow", "changed answers", "delta points", "verdict"),
        *("delta to eager", "verdict to eager"),
    ]
    reference, draft = ([cell.text for cell in row.cells] for row in table.rows)
    assert reference == [
        *("onnx_int8", "cpu", "pillow", "6.00", "2.00", "0.50", "1.00", "0.50"),
        *("10.00", "10.00", "11.00", "-", "2.00 [1.90, 2.10]", "100.0", "15.00"),
        *("-", "-", "-", "-", "-", "-"),
    ]
    delta = "-0.37 [-1.35, +0.37]"
    assert draft[-6:] == ["2.00 [1.90, 2.10]", "3", delta, "pass", delta, "pass"]
    assert [row.is_chosen for row in table.rows] == [True, False]


def test_the_notes_say_what_was_timed() -> None:
    notes = " ".join(section(measured(pipeline())).notes)
    assert "64 files of the test split as they lie on disk (60 JPEG, 4 PNG)" in notes
    assert "of 1024x768 pixels and 152.0 kB in the median" in notes
    assert "Their bytes are in memory" in notes
    encoded = " ".join(section(measured(pipeline(), are_files=False)).notes)
    assert "encoded as PNG, as the data set has no files" in encoded


def test_a_sample_that_its_bytes_cut_is_told() -> None:
    assert "MB at most" not in " ".join(section(measured(pipeline())).notes)
    cut = " ".join(section(measured(pipeline(), limited_to_bytes=32_000_000)).notes)
    assert "held in memory, 32 MB at most, which ended the sample" in cut


def test_all_pages_show_the_pipeline_and_none_does_without_one(tmp_path: Path) -> None:
    content = measured(pipeline(), drafted())
    made = report(content)
    first = section(content).sentences[0]
    assert first in html_page(content, tmp_path)
    assert first.split(",")[0] in markdown_page(content)
    assert first in printed(made)
    (cell,) = [
        row.cells[at].figure
        for row in made.measurements.table.rows[:1]
        for at, head in enumerate(made.measurements.table.heads)
        if head.line == "pipeline ms"
    ]
    assert cell == "10.00"
    without = results(row("onnx_int8"))
    assert report(without).pipeline is None
    for page in (html_page(without, tmp_path), markdown_page(without), printed(report(without))):
        assert "pipeline" not in page
        assert sections.TITLE not in page


def printed(made: Report) -> str:
    text = io.StringIO()
    console.show(made, Console(file=text, width=400))
    return text.getvalue()


def test_the_scalars_are_in_base_units() -> None:
    figures = scalars(record(measured(pipeline(), drafted())))
    tag = "benchmark/onnx_int8/cpu/pipeline"
    assert figures[f"{tag}/pillow/p50_s"] == 0.01
    assert figures[f"{tag}/pillow/decode_s"] == 0.006
    assert figures[f"{tag}/pillow/images_per_second"] == 100
    assert figures[f"{tag}/pillow/cpu_seconds_per_image"] == pytest.approx(0.015)
    assert figures[f"{tag}/pillow_draft/delta_top1"] == pytest.approx(-2 / 540)
    assert f"{tag}/pillow/p99_s" not in figures


def test_the_chart_stacks_the_stages_of_every_row() -> None:
    (chart,) = [
        chart
        for chart in charts(record(measured(pipeline(), drafted())))
        if chart.name == "pipeline"
    ]
    assert "onnx_int8: 10.00 ms in the mean, decode 6.00" in chart.description
    (axes,) = chart.draw().axes
    widths = [bar.get_width() for bar in axes.patches]
    assert widths == pytest.approx([6, 6, 2, 2, 0.5, 0.5, 1, 1, 0.5, 0.5])
    starts = [bar.get_x() for bar in axes.patches]
    assert starts == pytest.approx([0, 0, 6, 6, 8, 8, 8.5, 8.5, 9.5, 9.5])
    assert [text.get_text() for text in axes.texts] == ["10.00", "10.00"]
    names = [text.get_text().replace("\n", "") for text in axes.get_yticklabels()]
    assert names == ["onnx_int8", "onnx_int8(draft)"]


def test_a_recommendation_by_the_pipeline_gives_its_speed() -> None:
    content = measured(pipeline())
    content["recommendation"]["cpu"] |= {"objective": "pipeline", "batch_size": None}
    (text,) = report(content).recommendation
    assert "2.0x faster than eager [1.90, 2.10] from the image file to the label" in text
    assert "at batch 1" not in text


BASIS = (
    " It was chosen by the time from the bytes of an image file to its label, because the images "
    "of this data set are files; benchmark.objective=latency chooses by the call alone."
)


def by_default(objective: str = "pipeline", **sample: Any) -> dict[str, Any]:
    """Return a measurement whose objective the user did not name."""
    content = measured(pipeline(), **sample)
    content["options"]["objective"] = None
    size = None if objective == "pipeline" else 1
    content["recommendation"]["cpu"] |= {"objective": objective, "batch_size": size}
    return content


def test_a_recommendation_by_the_pipeline_names_the_dominant_stage_and_what_helps(
    tmp_path: Path,
) -> None:
    content = by_default()
    (text,) = report(content).recommendation
    assert text.endswith(
        f"{BASIS} 60% of the time from the image file to the label is decoding: smaller or less "
        "compressed image files, or a faster decoder, help more than a faster network."
    )
    for page in (html_page(content, tmp_path), markdown_page(content), printed(report(content))):
        assert BASIS.strip() in page
        # The help is told once.
        assert page.count("help more than a faster network") == 1
    assert section(content).sentences[0].endswith("60% of it is decoding.")


@pytest.mark.parametrize("stage", STAGES)
def test_every_stage_has_its_help_in_the_recommendation(stage: str) -> None:
    content = by_default()
    content["rows"][0]["pipeline"][0]["stages"][stage] |= {"mean_s": 0.09}
    (text,) = report(content).recommendation
    assert f"is {stages.NAMES[stage]}: " in text  # type: ignore[index]
    remedy = stages.REMEDIES[stage]  # type: ignore[index]
    assert ("export.input=uint8" if stage == "convert" else remedy) in text


def test_nothing_is_said_of_the_default_where_an_objective_was_named() -> None:
    content = by_default()
    content["options"]["objective"] = "pipeline"
    (text,) = report(content).recommendation
    assert "It was chosen by" not in text
    assert "60% of the time from the image file to the label is decoding" in text
    content = by_default("latency")
    content["options"]["objective"] = "latency"
    assert "It was chosen by" not in report(content).recommendation[0]


def test_nothing_is_said_of_the_default_where_the_images_are_no_files() -> None:
    (text,) = report(by_default("latency", are_files=False)).recommendation
    assert "It was chosen by" not in text
    assert "of the time from the image file" not in text


def test_a_default_that_falls_back_to_the_call_says_why() -> None:
    (text,) = report(by_default("latency")).recommendation
    assert text.endswith(
        " It was chosen by the call alone, because not every file that keeps the budget was timed "
        "from an image file to its label."
    )
    content = by_default("latency")
    for entry in content["rows"]:
        entry |= {"device": "browser", "pipeline": []}
    content["recommendation"] = {"browser": content["recommendation"]["cpu"]}
    content["recommended"] = {"browser": "onnx_int8"}
    assert "It was chosen by" not in report(content).recommendation[0]
