from __future__ import annotations

from typing import Any

import pytest

from src.benchmark.recommendation import recommend
from src.run.latency import Cell
from src.run.layout import as_dict
from src.run.pipeline import STAGES, ImageSample
from src.run.reading import convert
from src.run.results import HoldsHereOnly, Recommendation, Undecided
from src.run.row import RowFigures
from tests.report.planted import IMAGE_SAMPLE, latency, there
from tests.report.planted import row as table_row


def cell(size: int, seconds: float, noise: float = 0.0, **changes: Any) -> dict[str, Any]:
    """Twenty rounds, alternately slower and faster by ``noise`` from load to load."""
    samples = {str(number): [seconds * (1 + noise * (-1) ** (number // 2))] for number in range(20)}
    record = latency(size, seconds, seconds=samples, **{"peak_rss_bytes": 1000, **changes})
    return record | {"process_of_round": dict.fromkeys(samples, 0), "processes": 1}


def row(
    name: str, seconds: float, size: int = 100, verdict: str | None = "pass", **changes: Any
) -> dict[str, Any]:
    record = table_row(
        name, size_bytes=size, verdict=verdict, latency=[cell(1, seconds), cell(8, 8 * seconds)]
    )
    record["pipeline"] = [timed(10 + seconds)]
    record["accuracy"]["images_needed"] = 4321 if verdict == "inconclusive" else None
    return record | changes


def timed(seconds: float, decoder: str = "pillow", noise: float = 0.0) -> dict[str, Any]:
    """A pipeline of twenty rounds."""
    whole = cell(1, seconds, noise)
    for name in ("peak_rss_bytes", "peak_device_bytes"):
        del whole[name]
    stage = {"mean_s": seconds / 5, "p50_s": seconds / 5}
    samples = {number: [seconds / 5] for number in whole["seconds"]}
    stages = {name: {**stage, "seconds": samples} for name in STAGES}
    return {"decoder": decoder, "whole": whole, "stages": stages}


def busy(cell: dict[str, Any]) -> dict[str, Any]:
    """The cell with one call in four interrupted, on cores that others used."""
    seconds = {
        number: [value, value, value, 3 * value] for number, [value] in cell["seconds"].items()
    }
    seen = {"seconds": 1.0, "steal_share": 0.0, "other_cores": 0.6, "frequency_hz": None}
    return {**cell, "seconds": seconds, "disturbance": {**seen, "frequency_spread": None}}


def best(
    *rows: dict[str, Any], objective: Any = "latency", images: ImageSample | None = None
) -> Recommendation:
    converted = [convert(each, RowFigures) for each in rows]
    return recommend(converted, "eager", "cpu", objective, images)


def test_the_fastest_that_passes_is_recommended() -> None:
    advice = best(
        row("eager", 4.0), row("good", 2.0), row("bad", 1.0, verdict="fail"), row("slow", 3.0)
    )
    assert as_dict(advice) == {
        "format": "good",
        "objective": "latency",
        "batch_size": 1,
        "equals": [],
        "inconclusive": [],
        "holds_here_only": [],
        "chosen_from": 3,
        "tested": 3,
        "with_function": None,
    }


def test_a_file_that_lost_the_function_is_recommended_with_the_best_that_keeps_it() -> None:
    fast = row("fast", 1.0)
    fast["accuracy"]["departures"] = ["logit_sqnr_db"]
    advice = best(row("eager", 4.0), row("good", 3.0), fast, row("slow", 3.5))
    assert (advice.format, advice.with_function) == ("fast", "good")


def test_of_equally_fast_files_the_smaller_is_recommended() -> None:
    noisy = row("small", 1.01, size=10, latency=[cell(1, 1.01, noise=0.1)])
    advice = best(row("eager", 4.0), row("large", 1.0), noisy)
    assert (advice.format, advice.equals) == ("small", ["large"])


def of_processes(seconds: float, batch: int = 1) -> dict[str, Any]:
    """Twenty rounds in twenty processes, which show a lead of a percent."""
    steady = cell(batch, seconds)
    processes = {number: int(number) for number in steady["seconds"]}
    return steady | {"process_of_round": processes, "processes": len(processes)}


def steady(name: str, seconds: float, size: int = 100, **changes: Any) -> dict[str, Any]:
    latency = [of_processes(seconds), of_processes(8 * seconds, 8)]
    pipeline = timed(seconds)
    pipeline["whole"] |= {
        key: of_processes(seconds)[key] for key in ("process_of_round", "processes")
    }
    return row(name, seconds, size, **{"latency": latency, "pipeline": [pipeline], **changes})


@pytest.mark.parametrize("objective", ["latency", "throughput", "pipeline"])
def test_a_file_that_another_file_leads_is_not_recommended_for_being_even_with_the_best(
    objective: str,
) -> None:
    advice = best(
        steady("eager", 7.0, size=500),
        row("torch_compile", 5.0, size=400, pipeline=[timed(5.0)]),  # one process
        steady("openvino_fp32", 5.1, size=300),
        steady("torchscript", 6.0, size=200),
        objective=objective,
    )
    assert (advice.format, advice.equals) == ("openvino_fp32", ["torch_compile"])


def test_the_baseline_is_not_recommended_beside_a_file_that_leads_it() -> None:
    advice = best(
        steady("eager", 6.0, size=10), row("torch_compile", 5.0), steady("openvino_fp32", 5.1)
    )
    assert (advice.format, advice.equals) == ("torch_compile", ["openvino_fp32", "eager"])
    alone = best(steady("eager", 6.0, size=10), row("torch_compile", 5.0))
    assert (alone.format, alone.equals) == ("eager", ["torch_compile"])


def test_a_row_that_is_not_measurably_another_is_even_with_the_chosen_one() -> None:
    # The chosen one is even with the slow one by the wide interval of the latter alone.
    advice = best(
        steady("eager", 9.0, size=500),
        steady("quick", 5.0, size=300),
        row("unsure", 5.5, size=400),
        steady("slow", 6.0, size=200),
    )
    assert (advice.format, advice.equals) == ("quick", ["unsure"])


def test_with_interrupted_calls_a_file_is_led_by_means_whatever_its_median_is() -> None:
    # By its median the small file is the best one. Its mean is longer than that of the other.
    calm = steady("calm", 1.0, size=300)
    calls = busy(of_processes(0.8))
    small = steady("small", 0.8, size=200, latency=[{**calls, "p50_s": 0.8}])
    advice = best(steady("eager", 9.0, size=500), calm, small)
    assert (advice.format, advice.equals) == ("calm", [])
    small["verdict"] = "inconclusive"
    advice = best(steady("eager", 9.0, size=500), calm, small)
    assert (advice.format, advice.inconclusive) == ("calm", [])


def test_a_faster_inconclusive_row_is_named_although_its_median_is_not_shorter() -> None:
    calls = busy(of_processes(0.8))
    chosen = steady("chosen", 0.8, latency=[{**calls, "p50_s": 0.8}])
    advice = best(steady("eager", 9.0), chosen, steady("open", 1.0, verdict="inconclusive"))
    assert advice.format == "chosen"
    assert [undecided.format for undecided in advice.inconclusive] == ["open"]


def test_three_files_that_lead_each_other_in_a_cycle_leave_one_to_ship() -> None:
    def of_rounds(seconds: dict[int, float]) -> list[dict[str, Any]]:
        samples = {str(number): [value] for number, value in seconds.items()}
        processes = {number: int(number) for number in samples}
        record = latency(1, 1.0, seconds=samples, peak_rss_bytes=1000)
        return [record | {"process_of_round": processes, "processes": len(samples)}]

    # Each pair has two rounds of its own in common.
    one = of_rounds({0: 1.0, 1: 1.0, 4: 3.0, 5: 3.0})
    two = of_rounds({0: 2.0, 1: 2.0, 2: 1.0, 3: 1.0})
    three = of_rounds({2: 2.0, 3: 2.0, 4: 1.0, 5: 1.0})
    rows = [row("eager", 1.0, size=30, latency=one), row("b", 1.0, size=20, latency=two)]
    advice = best(*rows, row("c", 1.0, size=10, latency=three))
    assert (advice.format, advice.equals) == ("c", [])


def test_the_file_that_keeps_the_function_is_chosen_by_the_same_rule() -> None:
    fast = steady("fast", 1.0)
    fast["accuracy"]["departures"] = ["logit_sqnr_db"]
    advice = best(
        steady("eager", 9.0, size=500),
        fast,
        row("torch_compile", 5.0, size=400),
        steady("openvino_fp32", 5.1, size=300),
        steady("torchscript", 6.0, size=200),
    )
    assert (advice.format, advice.with_function) == ("fast", "openvino_fp32")


def test_a_tie_of_an_exact_figure_has_no_equals() -> None:
    rows = [row("eager", 4.0, size=10), row("onnx", 2.0, size=10), row("large", 1.0, size=11)]
    advice = best(*rows, objective="size")
    assert (advice.format, advice.equals, advice.inconclusive) == ("eager", [], [])


def test_a_faster_row_that_fails_on_an_older_processor_is_named_with_it() -> None:
    older = [there("avx2"), there("avx512", verdict="pass")]
    advice = best(row("eager", 4.0), row("good", 2.0), row("int8", 1.0, instruction_sets=older))
    assert (advice.format, advice.chosen_from) == ("good", 2)
    assert advice.holds_here_only == [HoldsHereOnly(format="int8", instruction_sets=["avx2"])]
    assert advice.inconclusive == []
    slower = best(row("eager", 4.0), row("good", 2.0), row("int8", 3.0, instruction_sets=older))
    assert slower.holds_here_only == []


def test_a_faster_inconclusive_row_is_named_with_the_images_it_needs() -> None:
    advice = best(row("eager", 4.0), row("good", 2.0), row("open", 1.0, verdict="inconclusive"))
    assert advice.format == "good"
    assert advice.inconclusive == [Undecided(format="open", images_needed=4321)]
    slower = best(row("eager", 4.0), row("good", 2.0), row("open", 3.0, verdict="inconclusive"))
    assert slower.inconclusive == []


def test_where_nothing_beats_it_the_baseline_is_recommended() -> None:
    advice = best(row("eager", 1.0, verdict="inconclusive"), row("slow", 2.0))
    assert advice.format == "eager"
    alone = best(row("eager", 1.0), row("wrong", 0.1, verdict="fail"))
    assert alone.format == "eager"


@pytest.mark.parametrize(
    ("objective", "expected", "batch_size"),
    [
        ("latency", "quick", 1),
        ("throughput", "wide", 8),
        ("size", "tiny", None),
        ("memory", "lean", 1),
        ("pipeline", "ready", None),
    ],
)
def test_every_objective_has_its_own_best(
    objective: str, expected: str, batch_size: int | None
) -> None:
    lean = cell(1, 3.0, peak_rss_bytes=5)
    advice = best(
        row("eager", 4.0),
        row("quick", 1.0),
        row("wide", 2.0, latency=[cell(1, 2.0), cell(8, 4.0)]),
        row("tiny", 3.0, size=10),
        # At the largest batch it takes the most.
        row("lean", 3.0, size=20, latency=[lean, cell(8, 24.0, peak_rss_bytes=9000)]),
        # Its input needs no conversion.
        row("ready", 1.5, pipeline=[timed(1.6)]),
        objective=objective,
    )
    assert (advice.format, advice.batch_size) == (expected, batch_size)


def test_where_no_pipeline_was_timed_the_latency_decides() -> None:
    rows = [row("onnx", 4.0, pipeline=[]), row("int8", 1.0, size=900, pipeline=[])]
    advice = best(row("eager", 5.0, pipeline=[]), *rows, objective="pipeline")
    assert (advice.format, advice.objective, advice.batch_size) == ("int8", "latency", 1)
    assert advice.equals == []


def test_pipelines_that_are_not_measurably_different_are_equal() -> None:
    noisy = row("small", 1.0, size=10, pipeline=[timed(5.1, noise=0.1)])
    advice = best(
        row("eager", 4.0), row("large", 2.0, pipeline=[timed(5.0)]), noisy, objective="pipeline"
    )
    assert (advice.format, advice.equals) == ("small", ["large"])
    slower = row("small", 1.0, size=10, pipeline=[timed(8.0, noise=0.1)])
    advice = best(
        row("eager", 4.0), row("large", 2.0, pipeline=[timed(5.0)]), slower, objective="pipeline"
    )
    assert (advice.format, advice.equals) == ("large", [])


def test_rows_of_other_devices_and_failed_rows_do_not_compete() -> None:
    broken = {**row("broken", 0.1), "status": "failed"}
    advice = best(row("eager", 4.0), row("gpu", 0.1, device="cuda"), broken)
    assert advice.format == "eager"


def test_without_a_baseline_nothing_is_recommended() -> None:
    assert best(row("other", 1.0, verdict=None)).format is None


def test_on_a_busy_machine_the_table_and_the_recommendation_use_one_statistic() -> None:
    from src.benchmark.statistics.latency import rounds_of, speedup

    # By medians the other file leads; by means, which hold its interruptions, it does not.
    calm = {**cell(1, 1.0), "disturbance": busy(cell(1, 1.0))["disturbance"]}
    other = busy(cell(1, 0.8))
    shown = speedup(*(rounds_of(convert(each, Cell)) for each in (calm, other)))
    assert shown is not None
    assert shown.value == pytest.approx(1.0 / (0.8 * 1.5))
    advice = best(row("eager", 1.0, latency=[calm]), row("other", 0.8, size=1000, latency=[other]))
    assert (shown.low > 1) is (advice.format == "other" and not advice.equals)


def test_the_same_network_is_recommended_however_few_images_there_are() -> None:
    advice = best(
        row("eager", 4.0, verdict="same"),
        row("onnx", 2.0, verdict="same"),
        row("int8", 1.0, verdict="inconclusive"),
    )
    assert advice.format == "onnx"
    assert [each.format for each in advice.inconclusive] == ["int8"]


def test_the_recommendation_stores_the_numbers_of_candidates_and_of_tests() -> None:
    advice = best(
        row("eager", 4.0, verdict="pass"),
        row("onnx", 2.0, verdict="same"),
        row("int8", 1.0),
        row("worse", 1.0, verdict="fail"),
        row("open", 1.0, verdict="inconclusive"),
        row("gpu", 0.1, device="cuda"),
    )
    assert (advice.chosen_from, advice.tested) == (3, 3)
    without = best(row("other", 1.0, verdict=None))
    assert (without.chosen_from, without.tested) == (0, 0)


def test_where_no_row_keeps_the_budget_the_open_ones_are_named_with_their_images() -> None:
    older = [there("avx2")]
    advice = best(
        row("open", 2.0, verdict="inconclusive"),
        row("quick", 1.0, verdict="inconclusive"),
        row("bad", 0.5, verdict="fail"),
        row("older", 3.0, instruction_sets=older),
    )
    assert advice.format is None
    assert advice.inconclusive == [
        Undecided(format="quick", images_needed=4321),
        Undecided(format="open", images_needed=4321),
    ]
    assert advice.holds_here_only == [HoldsHereOnly(format="older", instruction_sets=["avx2"])]


def small(name: str, rss: int | None, on_gpu: int | None = None) -> dict[str, Any]:
    taken = {"peak_rss_bytes": rss, "peak_device_bytes": on_gpu}
    return row(name, 1.0, latency=[cell(1, 1.0, **taken)])


def test_a_file_whose_memory_is_not_known_is_not_the_smallest() -> None:
    assert best(small("eager", 50), small("odd", None), objective="memory").format == "eager"
    unknown = [small("odd", None), small("eager", None)]
    assert best(*unknown, objective="memory").format == "eager"
    first = cell(1, 1.0)  # of version 1
    for name in ("peak_rss_bytes", "peak_device_bytes", "processes", "process_of_round"):
        del first[name]
    assert best(row("eager", 1.0, latency=[first]), objective="memory").format == "eager"


def test_on_a_gpu_its_own_memory_decides_where_all_rows_tell() -> None:
    rows = [small("eager", 50, 10), small("onnx", 40, 20)]
    assert best(*rows, objective="memory").format == "eager"
    rows[0]["latency"][0]["peak_device_bytes"] = None
    assert best(*rows, objective="memory").format == "onnx"


def test_a_memory_that_only_a_failing_file_tells_decides_nothing() -> None:
    rows = [small("eager", None), small("fp32", None), small("int8", 40)]
    rows[0]["size_bytes"], rows[1]["size_bytes"], rows[2]["verdict"] = 85, 22, "fail"
    advice = best(*rows, objective="memory")
    assert (advice.format, advice.equals) == ("eager", [])


@pytest.mark.parametrize(
    ("int8", "chosen", "equals"),
    [
        (250_400_000, "int8", ["fp32"]),
        (252_500_000, "int8", ["fp32"]),
        (252_700_000, "fp32", []),
        (240_000_000, "int8", []),
    ],
)
def test_peaks_that_are_no_further_apart_than_a_steady_one_grows_are_even(
    int8: int, chosen: str, equals: list[str]
) -> None:
    rows = [small("eager", 900_000_000), small("fp32", 250_100_000), small("int8", int8)]
    for each, size in zip(rows, (85, 85, 22), strict=True):
        each["size_bytes"] = size
    advice = best(*rows, objective="memory")
    assert (advice.format, advice.equals) == (chosen, equals)


def test_a_file_of_even_memory_is_not_called_better_for_being_open() -> None:
    rows = [small("eager", 250_400_000), small("int8", 250_100_000)]
    rows[1]["verdict"] = "inconclusive"
    assert best(*rows, objective="memory").inconclusive == []


FILES = convert(IMAGE_SAMPLE, ImageSample)
ENCODED = convert({**IMAGE_SAMPLE, "are_files": False}, ImageSample)


def quick_call_and_quick_pipeline() -> list[dict[str, Any]]:
    """Two files: the first has the faster call, the second the faster pipeline."""
    return [
        row("eager", 4.0, pipeline=[timed(20.0)]),
        row("call", 1.0, pipeline=[timed(9.0)]),
        row("whole", 2.0, pipeline=[timed(5.0)]),
    ]


def test_by_default_images_in_files_are_compared_by_the_pipeline() -> None:
    rows = quick_call_and_quick_pipeline()
    advice = best(*rows, objective=None, images=FILES)
    assert (advice.format, advice.objective, advice.batch_size) == ("whole", "pipeline", None)


@pytest.mark.parametrize("images", [ENCODED, None])
def test_by_default_images_without_files_are_compared_by_the_latency(
    images: ImageSample | None,
) -> None:
    rows = quick_call_and_quick_pipeline()
    advice = best(*rows, objective=None, images=images)
    assert (advice.format, advice.objective, advice.batch_size) == ("call", "latency", 1)


@pytest.mark.parametrize("objective", ["latency", "throughput", "size", "memory"])
def test_an_objective_that_is_named_is_not_replaced_by_the_default(objective: str) -> None:
    rows = quick_call_and_quick_pipeline()
    assert best(*rows, objective=objective, images=FILES).objective == objective
    encoded = best(*rows, objective="pipeline", images=ENCODED)
    assert (encoded.format, encoded.objective) == ("whole", "pipeline")


def test_by_default_a_file_without_a_pipeline_is_not_left_out_of_the_comparison() -> None:
    eager, call, whole = quick_call_and_quick_pipeline()
    untimed = {**call, "pipeline": []}
    advice = best(eager, untimed, whole, objective=None, images=FILES)
    assert (advice.format, advice.objective) == ("call", "latency")
    # A file that is not shipped anyway changes nothing.
    failing = {**untimed, "verdict": "fail"}
    advice = best(eager, failing, whole, objective=None, images=FILES)
    assert (advice.format, advice.objective) == ("whole", "pipeline")


def test_by_default_nothing_to_choose_from_is_no_pipeline() -> None:
    failing = [{**each, "verdict": "fail"} for each in quick_call_and_quick_pipeline()[1:]]
    advice = best(*failing, objective=None, images=FILES)
    assert (advice.format, advice.objective) == (None, "latency")
