from __future__ import annotations

from typing import Any

import pytest

from src.report.sections.recommendation import points
from tests.report.pages import report
from tests.report.planted import latency, results, row

CLOSE = {"value": 1.0, "low": 0.97, "high": 1.02, "processes": 5}


def advice(*rows: dict[str, Any], chosen: str, **changes: Any) -> str:
    measured = results(*rows)
    measured["recommendation"]["cpu"] |= {"format": chosen, **changes}
    (only,) = report(measured).recommendation
    return only


def unchanged(accuracy: dict[str, Any]) -> dict[str, Any]:
    return {**accuracy, "delta_top1": 0.0, "delta_low": -0.0071, "delta_high": 0.0071}


def test_a_recommendation_gives_its_reasons() -> None:
    small = row("onnx_int8", size_bytes=3_086_420)
    small["accuracy"] = unchanged(small["accuracy"])
    assert advice(row("eager"), small, chosen="onnx_int8") == (
        "On this CPU ship onnx_int8: 2.0x faster than eager [1.90, 2.10] at batch 1, "
        "4.0x smaller, accuracy unchanged (+0.0 points [-0.7, +0.7], n=540)."
    )


def test_a_file_that_is_not_faster_is_not_called_faster() -> None:
    even = row("onnx", latency=[latency(1, 0.01, speedup=CLOSE)])
    assert "as fast as eager [0.97, 1.02] at batch 1, of the same size" in advice(
        row("eager"), even, chosen="onnx"
    )
    slower = {"value": 0.5, "low": 0.4, "high": 0.6, "processes": 5}
    slow = row("onnx", latency=[latency(1, 0.01, speedup=slower)])
    assert "2.0x slower than eager" in advice(row("eager"), slow, chosen="onnx")


@pytest.mark.parametrize(
    ("share", "said"),
    [
        (0.25, "4.0x smaller"),
        (0.94, "1.06x smaller"),
        (0.96, "of the same size"),
        (1.04, "of the same size"),
        (1.06, "1.06x larger"),
        (1.3, "1.3x larger"),
        (4.0, "4.0x larger"),
    ],
)
def test_the_size_of_a_recommended_file_is_that_beside_the_baseline(
    share: float, said: str
) -> None:
    baseline = row("eager", size_bytes=10_000_000)
    shipped = row("onnx", size_bytes=round(share * 10_000_000))
    assert f" at batch 1, {said}, " in advice(baseline, shipped, chosen="onnx")


def test_a_significant_change_of_accuracy_is_called_changed() -> None:
    better = row("onnx")
    better["accuracy"] |= {"delta_top1": 0.02, "delta_low": 0.01, "delta_high": 0.03}
    assert "accuracy changed (+2.0 points [+1.0, +3.0]" in advice(
        row("eager"), better, chosen="onnx"
    )


def test_an_accuracy_drop_within_the_budget_is_not_called_unchanged() -> None:
    worse = row("onnx")
    worse["accuracy"] |= {"delta_top1": -0.015, "delta_low": -0.035, "delta_high": 0.003}
    measured = results(row("eager"), worse)
    measured["options"]["max_accuracy_drop"] = 0.05
    measured["recommendation"]["cpu"] |= {"format": "onnx"}
    (text,) = report(measured).recommendation
    assert "accuracy within the budget of 5 points (-1.5 points [-3.5, +0.3], n=540)" in text


def test_a_speedup_with_too_wide_an_interval_is_not_called_as_fast() -> None:
    wide = {"value": 5.0, "low": 0.57, "high": 54.61, "processes": 5}
    text = advice(
        row("eager"), row("onnx", latency=[latency(1, 0.002, speedup=wide)]), chosen="onnx"
    )
    assert "too few rounds to tell its speed from eager's [0.57, 54.61] at batch 1" in text
    assert "as fast as" not in text


def test_a_recommendation_names_a_speedup_of_one_process() -> None:
    one = {"value": 3.0, "low": 2.4, "high": 3.75, "processes": 1}
    text = advice(
        row("eager"), row("onnx", latency=[latency(1, 0.002, speedup=one)]), chosen="onnx"
    )
    assert "3.0x faster than eager [2.40, 3.75] at batch 1 in one process" in text


def test_the_baseline_is_recommended_with_the_undecided_files() -> None:
    inconclusive = [
        {"format": "onnx_int8", "images_needed": 4321},
        {"format": "other", "images_needed": None},
    ]
    text = advice(
        row("eager"), row("onnx_int8"), chosen="eager", equals=["onnx"], inconclusive=inconclusive
    )
    assert text == (
        "On this CPU ship eager: nothing faster keeps within 1 point of it; the speed of onnx is "
        "not measurably another; onnx_int8 is faster, but whether it keeps within 1 point is "
        "open: about 4,321 test images would tell, four times out of five; other is faster, but "
        "whether it keeps within 1 point is open: no number of images would tell."
    )


def test_a_file_that_holds_here_only_is_named_with_the_older_processors() -> None:
    excluded = [{"format": "onnx_int8", "instruction_sets": ["avx2", "avx512"]}]
    text = advice(row("eager"), row("onnx_int8"), chosen="eager", holds_here_only=excluded)
    assert text == (
        "On this CPU ship eager: nothing faster keeps within 1 point of it on the older processors "
        "too; onnx_int8 is faster and keeps within 1 point here, but is not shown to with avx2 and "
        "avx512."
    )


def test_nothing_is_recommended_without_a_measured_baseline() -> None:
    untested = row("onnx", verdict=None)
    assert advice(untested, chosen=None) == (  # type: ignore[arg-type]
        "On this CPU nothing can be recommended: eager was not measured."
    )


def test_where_no_file_keeps_the_budget_the_number_of_images_is_named() -> None:
    rows = (row("onnx_int8"), row("bad", verdict="fail"))
    assert advice(*rows, chosen=None) == (  # type: ignore[arg-type]
        "On this CPU no file is shown to keep within 1 point of eager."
    )
    inconclusive = [
        {"format": "onnx_int8", "images_needed": 268},
        {"format": "other", "images_needed": None},
    ]
    excluded = [{"format": "third", "instruction_sets": ["avx2"]}]
    open_ones = {"inconclusive": inconclusive, "holds_here_only": excluded}
    assert advice(*rows, chosen=None, **open_ones) == (  # type: ignore[arg-type]
        "On this CPU no file is shown to keep within 1 point of eager; whether onnx_int8 does is "
        "open: about 268 test images would tell, four times out of five; whether other does is "
        "open: no number of images would tell; third does here, but not with avx2."
    )


def test_a_budget_is_shown_in_percentage_points() -> None:
    assert [points(share) for share in (0.01, 0.005, 0.02)] == ["1 point", "0.5 points", "2 points"]


def test_a_recommendation_warns_of_the_selection_bias() -> None:
    chosen = {"chosen": "onnx", "chosen_from": 4, "tested": 3}
    passing = row("onnx", verdict="pass")
    text = advice(row("eager"), passing, **chosen)
    assert text.endswith(
        "n=540). It was chosen from 4 files that keep the budget, so expect a little less than its "
        "figures; 3 files were tested, and each test passes a bad file up to 1 time in 20."
    )
    same = row("onnx", verdict="same")
    assert advice(row("eager"), same, **chosen).endswith("expect a little less than its figures.")
    by_size = advice(row("eager"), same, **chosen, objective="size", batch_size=None)
    assert by_size.endswith("It was chosen from 4 files that keep the budget.")
    # The baseline is no winner of a race, and one file alone has won none.
    assert "chosen from" not in advice(row("eager"), passing, **chosen | {"chosen": "eager"})
    assert "chosen from" not in advice(row("eager"), passing, **chosen | {"chosen_from": 1})


def test_an_fp32_file_of_the_same_network_is_recommended_as_such() -> None:
    same = row("onnx", verdict="same")
    same["accuracy"] |= {"images": 8, "delta_top1": 0.0}
    text = advice(row("eager"), same, chosen="onnx")
    assert text.endswith("the same network: its logits agree on all 8 test images.")


def test_a_recommendation_by_memory_names_the_baselines_peak() -> None:
    lean = row("onnx", latency=[latency(1, 0.01, peak_rss_bytes=50_000_000), latency(8, 0.1)])
    text = advice(row("eager"), lean, chosen="onnx", objective="memory", batch_size=1)
    assert "50 MB at the peak where eager takes 200 MB" in text
    lean["latency"][0]["peak_rss_bytes"] = None
    text = advice(row("eager"), lean, chosen="onnx", objective="memory", batch_size=1)
    assert "at the peak" not in text


def of_memory(name: str, rss: int, on_gpu: int | None) -> dict[str, Any]:
    return row(name, latency=[latency(1, 0.01, peak_rss_bytes=rss, peak_device_bytes=on_gpu)])


@pytest.mark.parametrize(
    ("third", "said"),
    [
        (40_000_000, "10 MB of the GPU at the peak where eager takes 30 MB"),
        (None, "50 MB at the peak where eager takes 20 MB"),
    ],
)
def test_the_peak_that_was_compared_is_named(third: int | None, said: str) -> None:
    rows = [
        of_memory("eager", 20_000_000, 30_000_000),
        of_memory("onnx", 50_000_000, 10_000_000),
        of_memory("third", 60_000_000, third),
    ]
    assert said in advice(*rows, chosen="onnx", objective="memory", batch_size=1)


def test_files_of_even_memory_are_named_as_such() -> None:
    rows = [row("eager"), row("onnx"), row("other")]
    text = advice(*rows, chosen="onnx", objective="memory", batch_size=1, equals=["other"])
    assert "; the memory of other is not measurably another" in text


def test_a_recommended_file_with_other_probabilities_has_a_warning() -> None:
    small = row("onnx_int8", size_bytes=3_086_420)
    small["accuracy"] |= {"departures": ["logit_sqnr_db", "kl"], "logit_sqnr_db": 1.3, "kl": 0.21}
    said = advice(row("eager"), small, chosen="onnx_int8", with_function="onnx_fp32")
    assert (
        "; its probabilities are not eager's (logit SQNR 1.3 dB, KL 0.21 nats), those of "
        "onnx_fp32 are" in said
    )
    small["accuracy"]["departures"] = []
    assert "probabilities" not in advice(row("eager"), small, chosen="onnx_int8")


def test_a_speedup_with_a_wide_interval_is_shown_by_its_lower_bound() -> None:
    wide = {"value": 6.7, "low": 5.38, "high": 8.26, "processes": 5}
    said = advice(
        row("eager"), row("onnx", latency=[latency(1, 0.01, speedup=wide)]), chosen="onnx"
    )
    assert "at least 5.3x faster than eager [5.38, 8.26] at batch 1, too few rounds" in said
