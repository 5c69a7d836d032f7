"""The section on the int8 twin: what it is, gives and costs, or why there is none."""

from __future__ import annotations

from typing import Any

import pytest

from src.report.sections import twin
from src.run.reading import convert
from src.run.record import InvalidValueError
from src.run.twin import TwinAccount
from tests.report.pages import markdown_page, record, report
from tests.report.planted import results, row
from tests.twin.planted import values

_OF_FILE = ("schema_version", "command", "key", "checkpoint_sha256", "graph_sha256", "ranges")


def account(**changes: Any) -> dict[str, Any]:
    """Return the plain values of an account in a measurement."""
    planted = {
        **values(),
        "peak_rss_bytes": 1_800_000_000,
        "training": {"seconds": 120.0, "peak_rss_bytes": 1_200_000_000},
        "calibrated": {"images": 180, "top1": 0.97, "agreement": 0.975},
        "int8_speedup": 1.62,
        "fp32_speedup": 1.11,
        **changes,
    }
    return {name: value for name, value in planted.items() if name not in _OF_FILE}


def page(*rows: dict[str, Any], **changes: Any) -> str:
    return markdown_page({**results(*rows), "twin": account(**changes)})


OF_TWIN = {"details": {"summary": [], "of_twin": True}, "precision": "int8"}


def test_a_measurement_without_a_twin_has_no_section() -> None:
    assert report(results(row("eager"))).twin is None
    assert "int8 twin" not in markdown_page(results(row("eager")))


def test_it_says_that_it_is_another_network_and_how_it_compares() -> None:
    text = page(row("eager"), row("fast_twin", **OF_TWIN))
    for part in (
        "## The int8 twin",
        "compute another network than the trained one (1 SiLU by ReLU6)",
        "fast_twin on cpu gives the answer of eager for 99.00% of 540 test images",
        "8 to a wrong one and 1 to the right one",
        "-1.23 [-2.34, +0.12] points: whether it keeps the budget is open",
        "Times eager: 2.00 [1.90, 2.10].",
        "the plain int8 file of the trained network 97.5%",
        "the distilled network in float 98.0%, the twin under fake quantization 99.0%",
        "Its making took 1.5 minutes, 1.80 GB of memory at its peak.",
        "The training took 2.0 minutes, 1.20 GB of memory at its peak.",
        "1.62 times the plain int8 file, and in fp32 1.11 times the fp32 file",
    ):
        assert part in text, part
    assert "eager on cpu gives the answer" not in text


def test_what_was_tried_is_a_table_with_the_chosen_set() -> None:
    section = report({**results(row("eager")), "twin": account()}).twin
    assert section is not None
    assert [cell.figure for cell in section.table.rows[1].cells] == [
        "1 SiLU by ReLU6",
        "1.70",
        "60.0",
        "90.0",
        "-",
    ]
    assert [each.is_chosen for each in section.table.rows] == [False, True]


@pytest.mark.parametrize(
    ("speedup", "expected"),
    [
        (1.3, "1.30 times as fast as the onnx_int8 that the run had exported then."),
        (
            1.0,
            "1.00 times as fast as the onnx_int8 that the run had exported then: the twin gains no",
        ),
        (
            0.91,
            "0.91 times as fast as the onnx_int8 that the run had exported then: the twin gains no",
        ),
    ],
)
def test_a_twin_that_is_not_faster_than_the_exported_file_is_told_so(
    speedup: float, expected: str
) -> None:
    assert expected in page(row("eager"), row("fast_twin", **OF_TWIN), exported_speedup=speedup)


def test_without_an_exported_int8_file_none_is_named() -> None:
    assert "had exported" not in page(row("eager"), row("fast_twin", **OF_TWIN))


def test_no_twin_has_its_reason() -> None:
    text = page(row("eager"), chosen=None, reason="nothing is gained", twin=None, training=None)
    assert "No twin: nothing is gained." in text
    assert "another network" not in text
    assert "The cost of the training was not noted in one piece." in text


def test_a_twin_that_is_not_finished_says_so() -> None:
    assert "The twin is not finished" in page(row("eager"), twin=None)


def test_a_missed_budget_has_its_advice() -> None:
    missed = {
        "drop": 0.04,
        "allowed": 0.01,
        "phase": "quantization",
        "trained": 3,
        "curve": "flat",
        "more_epochs": None,
    }
    text = page(row("eager"), row("fast_twin", **OF_TWIN), missed=missed)
    assert "is flat after 3 epochs, so more of them promise nothing" in text


@pytest.mark.parametrize("change", [{"chosen": 5}, {"seconds": -1}, {"epochs": [{"epoch": 0}]}])
def test_an_account_that_is_not_valid_is_refused(change: dict[str, Any]) -> None:
    with pytest.raises(InvalidValueError, match="twin"):
        record({**results(row("eager")), "twin": account(**change)})


def test_lines_of_what_was_tried_name_the_refusal() -> None:
    planted = account()
    planted["tried"][1]["refused"] = "no training through Split"
    lines = [*twin.tried(convert(planted, TwinAccount))]
    assert lines[1].endswith("90.0% in the probe; refused: no training through Split")


def test_a_recommended_twin_is_said_to_be_another_network() -> None:
    told = report(results(row("fast_twin", **OF_TWIN), row("eager"))).recommendation[0]
    assert "it computes another network, made to answer as the trained one does" in told
    plain = report(results(row("fast"), row("eager")))
    assert "another network" not in plain.recommendation[0]


def test_squeeze_excites_are_listed_in_the_order_in_which_they_are_dropped() -> None:
    assert "Squeeze-excites in the order" not in page(row("eager"))
    blocks = [
        {"path": f"features.{number}.se", "damage": 0.0123 * number, "saved": 0.015}
        for number in range(23)
    ]
    text = page(row("eager"), blocks=blocks)
    assert "features.0.se (0 for 1.5%), features.1.se (0.012 for 1.5%)" in text
    assert "features.19.se (0.23 for 1.5%) and 3 more, in twin/twin.json." in text
    made = convert(account(blocks=blocks[:2]), TwinAccount)
    assert "features.1.se (0.012 for 1.5%)." in [*twin.tried(made)][-1]


@pytest.mark.parametrize("damage", [-0.1, 1e13])
def test_a_damage_that_cannot_be_is_refused(damage: float) -> None:
    block = {"path": "a", "damage": damage, "saved": 0.1}
    with pytest.raises(InvalidValueError, match=r"blocks\[0\]\.damage"):
        convert(account(blocks=[block]), TwinAccount)
