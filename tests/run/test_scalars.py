from __future__ import annotations

from pathlib import Path

import pytest
from torch.utils.tensorboard import SummaryWriter

from src.run import scalars


def write(folder: Path, points: dict[int, float], tag: str = "loss") -> None:
    with SummaryWriter(str(folder)) as writer:
        for step, value in points.items():
            writer.add_scalar(tag, value, step)


def values(folder: Path, tag: str = "loss") -> dict[int, float]:
    return {point.step: point.value for point in scalars.read(folder)[tag]}


def test_files_are_read_in_the_order_of_their_times(tmp_path: Path) -> None:
    # As two files of one second, whose counters are 9 and 10.
    first = tmp_path / "events.out.tfevents.1700000000.host.77.9"
    second = tmp_path / "events.out.tfevents.1700000000.host.77.10"
    write(tmp_path, {0: 4.0, 1: 3.0, 2: 2.0})
    next(tmp_path.iterdir()).rename(first)
    write(tmp_path, {2: 1.0, 3: 0.5})
    next(file for file in tmp_path.iterdir() if file != first).rename(second)
    assert values(tmp_path) == {0: 4.0, 1: 3.0, 2: 1.0, 3: 0.5}


def test_steps_that_were_taken_again_count_once(tmp_path: Path) -> None:
    write(tmp_path, {0: 4.0, 10: 3.0, 20: 2.0})
    write(tmp_path, {10: 30.0, 20: 20.0, 30: 10.0})
    assert [point.step for point in scalars.read(tmp_path)["loss"]] == [0, 10, 20, 30]
    assert values(tmp_path) == {0: 4.0, 10: 30.0, 20: 20.0, 30: 10.0}


def test_a_later_file_of_another_step_removes_nothing(tmp_path: Path) -> None:
    write(tmp_path, {5: 1.0, 6: 2.0})
    write(tmp_path, {0: 3.0})
    assert values(tmp_path) == {0: 3.0, 5: 1.0, 6: 2.0}


def test_a_training_from_an_earlier_checkpoint_replaces_the_abandoned_steps(
    tmp_path: Path,
) -> None:
    with SummaryWriter(str(tmp_path)) as writer:
        for step in range(0, 60, 10):
            writer.add_scalar("train/loss", 1.0, step)
            writer.add_scalar("val/loss", 1.0, step + 9)
    with SummaryWriter(str(tmp_path)) as writer:
        for step in range(20, 45, 15):  # with another interval of logging
            writer.add_scalar("train/loss", 2.0, step)
        writer.add_scalar("val/loss", 2.0, 29)
    assert values(tmp_path, "train/loss") == {0: 1.0, 10: 1.0, 20: 2.0, 35: 2.0}
    assert values(tmp_path, "val/loss") == {9: 1.0, 19: 1.0, 29: 2.0}


def test_each_tag_has_its_own_points(tmp_path: Path) -> None:
    write(tmp_path, {0: 1.0, 1: 2.0})
    write(tmp_path, {0: 9.0}, tag="val/loss")
    assert values(tmp_path) == {0: 1.0, 1: 2.0}
    assert values(tmp_path, "val/loss") == {0: 9.0}


@pytest.mark.parametrize("kept", [0, 100, 137])
def test_a_file_that_was_cut_gives_what_it_has(tmp_path: Path, kept: int) -> None:
    write(tmp_path, {step: float(step) for step in range(20)})
    (file,) = tmp_path.iterdir()
    file.write_bytes(file.read_bytes()[:kept])
    read = scalars.read(tmp_path).get("loss", [])
    assert [point.value for point in read] == [float(point.step) for point in read]
    assert len(read) < 20


def test_a_folder_without_event_files_has_no_scalars(tmp_path: Path) -> None:
    (tmp_path / "profile").mkdir()
    (tmp_path / "hparams.yaml").write_text("{}")
    assert scalars.read(tmp_path) == {}
