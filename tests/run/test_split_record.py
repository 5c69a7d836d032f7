"""The record of a run's splits: whole after a round trip, and harmless if a stranger wrote it."""

from __future__ import annotations

import gzip
import tracemalloc
from pathlib import Path

import pytest

from src.errors import UsageError
from src.run import split_record
from src.run.folder import Run
from src.run.split_record import SplitRecord

MEBIBYTE = 1 << 20
RECORD = SplitRecord(["cat", "dog"], {"train": ["cat/0.png"], "val": ["a"], "test": ["b", "c"]})


@pytest.fixture
def run(tmp_path: Path) -> Run:
    return Run(tmp_path)


@pytest.mark.parametrize(
    "name",
    [
        "cat/0.png",
        "\udcff.png",
        "a\udcff\udcfe/\U0001f600.png",
        "\\udcff",
        "\\\\ud800\udc80",
        'a"b\n2',
        "caf\u00e9",
        "\U0001f600",
    ],
    ids=ascii,
)
def test_every_name_of_a_file_is_read_as_it_was_written(run: Run, name: str) -> None:
    record = SplitRecord(["cat"], {"train": [name, "b"], "val": ["c"], "test": []})
    split_record.write(run, record)
    assert split_record.read(run) == record


def stored(content: bytes, run: Run) -> None:
    run.split_record.write_bytes(gzip.compress(content, 1, mtime=0))


MANY = {
    "lists in a split": b'{"schema_version":1,"class_names":["a"],"splits":{"train":[%s]}}',
    "lists in the classes": b'{"schema_version":1,"class_names":[%s]}',
    "lists in another field": b'{"schema_version":1,"more":[%s]}',
    "another split": b'{"schema_version":1,"class_names":["a"],"splits":{"other":[%s]}}',
    "another version": b'{"schema_version":2,"class_names":[%s]}',
    "a list": b"[%s]",
    "a surrogate": b'{"schema_version":1,"class_names":["\\udcff"],"splits":{"train":[%s]}}',
    "a surrogate in a field": b'{"schema_version":1,"class_names":["a"],"\\udcff":[%s]}',
}


@pytest.mark.parametrize("values", [b"[],", b"{},", b"[0],", b"1.5,"])
@pytest.mark.parametrize("content", MANY.values(), ids=MANY)
def test_values_that_are_no_names_take_no_memory(run: Run, content: bytes, values: bytes) -> None:
    text = content % (values * (MEBIBYTE // len(values)))[:-1]
    stored(text, run)
    tracemalloc.start()
    try:
        with pytest.raises(UsageError, match=r"splits\.json\.gz: expected .*; found .*; "):
            split_record.read(run)
        _, peak = tracemalloc.get_traced_memory()
    finally:
        tracemalloc.stop()
    assert peak < 5 * MEBIBYTE


def test_more_names_than_a_data_set_has_are_refused_before_they_are_decoded(
    run: Run, monkeypatch: pytest.MonkeyPatch
) -> None:
    split_record.write(run, RECORD)
    monkeypatch.setattr(split_record, "_MOST_NAMES", 10)
    with pytest.raises(UsageError, match=r"splits\.json\.gz: expected .*; found about 12 names; "):
        split_record.read(run)


@pytest.mark.parametrize("limit", ["_MOST_NAMES", "_MOST_BYTES"])
def test_a_record_that_could_not_be_read_is_refused_before_the_training(
    run: Run, limit: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(split_record, limit, 10)
    with pytest.raises(UsageError, match=r"data: expected names of images .*; train on fewer"):
        split_record.write(run, RECORD)
    assert not run.split_record.exists()


@pytest.mark.parametrize(
    "content",
    [
        b'{"schema_version":1,"class_names":["a"],"splits":{"\\ud074rain":[],"val":[],"test":[]}}',
        b'{"schema_version":1,"class_names":["a"],"splits":{"train":[],"val":[],"test":[]},"x":0}',
        b'{"schema_version":"1","class_names":["a"],"splits":{"train":[],"val":[],"test":[]}}',
        b'{"class_names":["a"],"splits":{"train":[],"val":[],"test":[]}}',
        b'{"schema_version":1,"class_names":["a"],"splits":{"train":["a"],"val":[null],"test":[]}}',
    ],
    ids=range(5),
)
def test_a_record_with_other_fields_is_refused(run: Run, content: bytes) -> None:
    stored(content, run)
    with pytest.raises(UsageError, match=r"splits\.json\.gz: expected .*; found .*; "):
        split_record.read(run)
