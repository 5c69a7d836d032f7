"""Results that are kept, made one at a time, within bounds."""

from __future__ import annotations

import threading
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import pytest

from src.errors import LightshipError
from src.tensorboard_plugin.result_cache import PassingResult, ResultCache


@pytest.fixture
def file(tmp_path: Path) -> Path:
    path = tmp_path / "trace"
    path.write_text("1")
    return path


class Maker:
    """Counts its calls, and how many of them run at once."""

    def __init__(self, result: bytes = b"result") -> None:
        self.result = result
        self.calls = 0
        self.running = 0
        self.most = 0

    def __call__(self) -> bytes:
        self.calls += 1
        self.running += 1
        self.most = max(self.most, self.running)
        threading.Event().wait(0.01)
        self.running -= 1
        return self.result


def test_a_result_is_made_once(file: Path) -> None:
    cache, make = ResultCache(), Maker()
    assert [cache.get([file], "name", make) for _ in range(3)] == [b"result"] * 3
    assert make.calls == 1


def test_another_view_of_the_same_file_is_another_result(file: Path) -> None:
    cache = ResultCache()
    assert cache.get([file], "name", Maker(b"a")) == b"a"
    assert cache.get([file], "shapes", Maker(b"b")) == b"b"
    assert cache.get([file], "name", Maker(b"c")) == b"a"


def test_a_file_that_was_written_again_is_read_again(file: Path) -> None:
    cache = ResultCache()
    cache.get([file], "name", Maker(b"old"))
    file.write_text("22")
    assert cache.get([file], "name", Maker(b"new")) == b"new"


def test_a_file_that_is_gone_is_not_answered_from_memory(file: Path) -> None:
    cache = ResultCache()
    cache.get([file], "name", Maker(b"old"))
    file.unlink()
    assert cache.get([file], "name", Maker(b"new")) == b"new"


def test_requests_at_the_same_time_wait_for_one_another(tmp_path: Path) -> None:
    files = [tmp_path / str(number % 3) for number in range(12)]
    for file in files:
        file.write_text("1")
    cache, make = ResultCache(), Maker()
    with ThreadPoolExecutor(12) as pool:
        list(pool.map(lambda file: cache.get([file], "name", make), files))
    assert (make.calls, make.most) == (3, 1)


def test_the_results_used_longest_ago_are_dropped(tmp_path: Path) -> None:
    files = [tmp_path / str(number) for number in range(3)]
    for file in files:
        file.write_text("1")
    cache, make = ResultCache(max_bytes=20), Maker(b"12345678")
    cache.get([files[0]], "name", make)
    cache.get([files[1]], "name", make)
    cache.get([files[0]], "name", make)
    cache.get([files[2]], "name", make)
    assert make.calls == 3
    cache.get([files[0]], "name", make)
    assert make.calls == 3
    cache.get([files[1]], "name", make)
    assert make.calls == 4


def test_a_result_larger_than_all_bounds_is_given_and_not_kept(file: Path) -> None:
    cache, make = ResultCache(max_bytes=3), Maker()
    assert cache.get([file], "name", make) == b"result"
    assert cache.get([file], "name", make) == b"result"
    assert make.calls == 2


def test_a_damaged_file_is_read_once(file: Path) -> None:
    cache = ResultCache()
    calls = []

    def fail() -> bytes:
        calls.append(1)
        raise LightshipError("it is damaged")

    for _ in range(3):
        with pytest.raises(LightshipError, match="it is damaged"):
            cache.get([file], "name", fail)
    assert len(calls) == 1


def test_a_defect_is_not_remembered(file: Path) -> None:
    cache = ResultCache()

    def fail() -> bytes:
        raise ZeroDivisionError

    with pytest.raises(ZeroDivisionError):
        cache.get([file], "name", fail)
    assert cache.get([file], "name", Maker()) == b"result"


@pytest.mark.parametrize("is_direct", [True, False])
def test_a_failure_to_read_is_not_remembered(file: Path, is_direct: bool) -> None:
    cache = ResultCache()

    def fail() -> bytes:
        try:
            raise PermissionError(13, "Permission denied")
        except OSError as error:
            if is_direct:
                raise
            raise LightshipError("it could not be read") from error

    with pytest.raises(OSError if is_direct else LightshipError):
        cache.get([file], "name", fail)
    assert cache.get([file], "name", Maker()) == b"result"


def test_a_result_without_a_file_that_could_not_be_read_is_given_and_not_kept(file: Path) -> None:
    cache = ResultCache()
    assert cache.get([file], "name", lambda: PassingResult(b"part")) == b"part"
    assert cache.get([file], "name", Maker()) == b"result"
