"""Changed images of a user, which make another candidate."""

from __future__ import annotations

from pathlib import Path

import pytest

from src.forecast.candidate import Request
from src.forecast.image_listing import listing_hash
from src.forecast.stage import RECORD
from src.search.notebook import RECORD as SEARCH
from tests.search.planted import ENVIRONMENT


@pytest.fixture
def photos(tmp_path: Path) -> Path:
    for name in ("cat/1.jpg", "cat/2.jpg", "dog/1.jpg"):
        path = tmp_path / "photos" / name
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_bytes(b"12345")
    return tmp_path / "photos"


def key_of(photos: Path) -> str:
    """Return the key of a candidate in a new command."""
    listing_hash.cache_clear()
    return Request("resnet34", 32, ("data=image_folder",), images=str(photos)).key(ENVIRONMENT)


def add(photos: Path) -> None:
    (photos / "dog" / "2.jpg").write_bytes(b"12345")


def remove(photos: Path) -> None:
    (photos / "cat" / "2.jpg").unlink()


def rename(photos: Path) -> None:
    (photos / "cat" / "2.jpg").rename(photos / "cat" / "3.jpg")


def label_otherwise(photos: Path) -> None:
    (photos / "cat" / "2.jpg").rename(photos / "dog" / "2.jpg")


def replace(photos: Path) -> None:
    (photos / "cat" / "2.jpg").write_bytes(b"123456")


@pytest.mark.parametrize("change", [add, remove, rename, label_otherwise, replace])
def test_changed_images_make_another_key(photos: Path, change) -> None:  # type: ignore[no-untyped-def]
    before = key_of(photos)
    assert key_of(photos) == before
    change(photos)
    assert key_of(photos) != before


def test_what_a_search_writes_among_the_images_changes_no_key(photos: Path) -> None:
    before = key_of(photos)
    for folder, record in (("search", SEARCH), ("forecast", RECORD)):
        (photos / folder).mkdir()
        (photos / folder / record).write_text('{"schema_version": 1, "command": "x"}')
        (photos / folder / "chart.png").write_bytes(b"1")
    (photos / "lightning_logs" / "a" / "version_0").mkdir(parents=True)
    (photos / "lightning_logs" / "a" / "version_0" / "1.png").write_bytes(b"1")
    (photos / "notes.txt").write_text("x")
    assert key_of(photos) == before


def test_a_folder_that_cannot_be_listed_is_left_to_the_training(tmp_path: Path) -> None:
    for name in ("missing", "~nobody-has-this-name/photos"):
        listing_hash.cache_clear()
        assert listing_hash(str(tmp_path / name) if "~" not in name else name) is None
