"""The table of trainings over seeds: kept cell by cell, and written when it is stopped."""

from __future__ import annotations

import sys
from pathlib import Path
from typing import Any

import pytest

from tests.conftest import ROOT

sys.path.insert(0, str(ROOT / "scripts"))

import check_training

FIGURES: dict[str, Any] = {
    "images": 540,
    "top1": 0.99,
    "logit_ratio": 1.5,
    "logit_largest": 6.0,
    "dead": 0.0,
    "vanishing": 0.0,
    "problems": [],
    "int8_top1": 0.985,
    "int8_sqnr_db": 25.0,
}


@pytest.fixture
def page(tmp_path: Path) -> Path:
    page = tmp_path / "page.md"
    page.write_text(f"before\n{check_training.BEGIN}\nold\n{check_training.END}\nafter\n")
    return page


@pytest.fixture
def trainings(monkeypatch: pytest.MonkeyPatch) -> list[tuple[str, str, int]]:
    """The trainings that were made; each takes no time."""
    made: list[tuple[str, str, int]] = []

    def trained(model: str, words: list[str], root: Path, having: str, *, again: bool) -> None:
        assert f"seed_everything={root.name}" in words
        assert having == "checkpoints/best.ckpt"
        if len(made) == 4:
            raise KeyboardInterrupt
        made.append((root.parent.name, model, int(root.name)))

    monkeypatch.setattr(check_training, "trained", trained)
    monkeypatch.setattr(check_training, "measured", lambda _: FIGURES)
    return made


def run(monkeypatch: pytest.MonkeyPatch, page: Path, *words: str) -> int:
    figures = page.with_name("figures.json")
    monkeypatch.setattr(
        sys, "argv", ["check_training.py", f"--page={page}", f"--figures={figures}", *words]
    )
    with pytest.raises(SystemExit) as end:
        check_training.main()
    return int(end.value.code or 0) if not isinstance(end.value.code, str) else 1


def test_the_committed_page_has_the_marks_and_the_table_of_the_committed_figures() -> None:
    text = (ROOT / "docs" / "training.md").read_text(encoding="utf-8")
    assert text.count(check_training.BEGIN) == text.count(check_training.END) == 1
    lines, _ = check_training.table(check_training.Figures(check_training.FIGURES))
    assert "\n".join(lines) in text


def test_a_stopped_command_keeps_what_was_trained_and_goes_on(
    page: Path, monkeypatch: pytest.MonkeyPatch, trainings: list[tuple[str, str, int]]
) -> None:
    models = ("--models", "resnet34", "convnext_t")
    with pytest.raises(KeyboardInterrupt):
        run(monkeypatch, page, *models)
    # One seed of all networks before the next seed.
    assert {seed for _, _, seed in trainings} == {0}
    text = page.read_text()
    assert text.startswith("before\n")
    assert text.endswith("\nafter\n")
    assert "20 of 24 trainings were not made yet" in text
    assert "| the defaults, 64 px | resnet34 | 99.00 / - / - |" in text
    assert "| met by 1 of 1 |" in text
    before = list(trainings)
    trainings.clear()
    with pytest.raises(KeyboardInterrupt):
        run(monkeypatch, page, *models)
    assert not set(before) & set(trainings)
    assert "16 of 24" in page.read_text()


def test_the_aims_and_the_lack_of_trainings_decide_the_exit_code(
    page: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    figures = check_training.Figures(page.with_name("figures.json"))
    for setting in check_training.SETTINGS:
        for model in check_training.MODELS:
            for seed in check_training.SEEDS:
                assert run(monkeypatch, page, "--only-table") == 1
                figures.add(cell(setting, model, seed))
    assert run(monkeypatch, page, "--only-table") == 0
    assert "not made yet" not in page.read_text()
    figures.add(cell("default", "resnet34", 1, int8_top1=0.97))
    assert run(monkeypatch, page, "--only-table") == 1
    assert "99.00 / 99.00 / 99.00 | 1.50 / 1.50 / 1.50 | 98.50 / 97.00 / 98.50" in page.read_text()
    assert "| MISSED by 1 of 3 |" in page.read_text()


@pytest.mark.parametrize("vanishing", [0.07, None])
def test_figures_are_read_again_also_of_a_network_without_batch_norm(
    page: Path, vanishing: float | None
) -> None:
    path = page.with_name("figures.json")
    made = cell("default", "convnext_t", 0, vanishing=vanishing)
    check_training.Figures(path).add(made)
    assert check_training.Figures(path).get(("default", "convnext_t", 0)) == made


def test_another_file_is_refused_before_the_training(
    page: Path, monkeypatch: pytest.MonkeyPatch, trainings: list[tuple[str, str, int]]
) -> None:
    page.with_name("figures.json").write_text('{"a": 1}')
    assert run(monkeypatch, page) == 1
    assert not trainings
    assert "old" in page.read_text()


def cell(setting: str, model: str, seed: int, **changes: Any) -> check_training.Cell:
    place = {"processor": "a CPU", "packages": "torch 2.15.0", "commit": "0" * 40}
    return check_training.Cell(
        setting=setting, model=model, seed=seed, **place, **{**FIGURES, **changes}
    )
