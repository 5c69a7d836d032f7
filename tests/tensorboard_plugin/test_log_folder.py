"""The runs that the plugin finds below a log folder."""

from __future__ import annotations

import errno
import os
from pathlib import Path

import pytest

from src.tensorboard_plugin import log_folder, run_index
from src.tensorboard_plugin.log_folder import LogFolder, log_folders
from src.tensorboard_plugin.responses import RequestError
from src.tensorboard_plugin.run_index import RunIndex
from tests.support.plugin_runs import write_run


class Clock:
    def __init__(self) -> None:
        self.seconds = 0.0

    def __call__(self) -> float:
        return self.seconds


def index(*folders: Path | LogFolder, clock: Clock | None = None) -> RunIndex:
    named = [f if isinstance(f, LogFolder) else LogFolder(f) for f in folders]
    return RunIndex(named, clock or Clock())


def names(*folders: Path | LogFolder) -> list[str]:
    return [run.name for run in index(*folders).listing().runs]


def problems(*folders: Path) -> str:
    return "\n".join(index(*folders).listing().problems)


def age(run: Path, seconds: float) -> None:
    for file in run.rglob("*.json"):
        os.utime(file, (1e9 - seconds, 1e9 - seconds))


def test_runs_are_listed_the_newest_first(tmp_path: Path) -> None:
    for name, seconds in (("a/version_0", 30), ("a/version_1", 10), ("b/version_0", 20)):
        age(write_run(tmp_path / name), seconds)
    assert names(tmp_path) == ["a/version_1", "b/version_0", "a/version_0"]


def test_a_run_has_what_its_files_show(tmp_path: Path) -> None:
    write_run(tmp_path / "profiled")
    (tmp_path / "measured").mkdir()
    (tmp_path / "measured" / "benchmark.json").write_text("{}")
    write_run(tmp_path / "both")
    (tmp_path / "both" / "benchmark.json").write_text("{}")
    (tmp_path / "neither" / "profile").mkdir(parents=True)
    listed = {run.name: run for run in index(tmp_path).listing().runs}
    assert {name: (run.has_profile, run.has_measurement) for name, run in listed.items()} == {
        "profiled": (True, False),
        "measured": (False, True),
        "both": (True, True),
    }


@pytest.mark.parametrize(
    ("logdir", "name"),
    [
        ("logs", "resnet34/version_0"),
        ("logs/resnet34", "version_0"),
        ("logs/resnet34/version_0", "."),
    ],
)
@pytest.mark.parametrize("style", ["absolute", "relative", "home", "slash"])
def test_the_log_folder_may_be_any_folder_above_a_run_or_the_run(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, logdir: str, name: str, style: str
) -> None:
    base = tmp_path / "my logs"
    run = write_run(base / "logs" / "resnet34" / "version_0")
    monkeypatch.chdir(base)
    monkeypatch.setenv("HOME", str(base))
    written = {
        "absolute": f"{base}/{logdir}",
        "relative": logdir,
        "home": f"~/{logdir}",
        "slash": f"./{logdir}/",
    }[style]
    found = RunIndex(log_folders(written, None))
    monkeypatch.chdir("/")
    assert [run.name for run in found.listing().runs] == [name]
    assert found.open(found.find(name)).folder == run


def test_a_log_folder_that_does_not_exist_yet_has_no_runs(tmp_path: Path) -> None:
    clock = Clock()
    later = index(tmp_path / "later", clock=clock)
    assert not later.has_runs()
    assert later.listing().runs == []
    write_run(tmp_path / "later" / "version_0")
    clock.seconds = 60
    assert later.has_runs()
    assert [run.name for run in later.listing().runs] == ["version_0"]


def test_a_group_of_logdir_spec_is_a_part_of_the_name(tmp_path: Path) -> None:
    write_run(tmp_path / "old" / "version_0")
    write_run(tmp_path / "new")
    folders = log_folders("", f"before:{tmp_path}/old,after:{tmp_path}/new")
    listed = index(*folders)
    assert {run.name for run in listed.listing().runs} == {"before/version_0", "after"}
    assert listed.find("after").tensorboard_name == "after/."
    assert listed.find("before/version_0").tensorboard_name == "before/version_0"


def test_a_path_of_logdir_spec_needs_no_group(tmp_path: Path) -> None:
    write_run(tmp_path / "a:b" / "version_0")
    assert names(*log_folders(None, f"{tmp_path}/a:b")) == ["version_0"]


def test_runs_with_the_same_name_in_two_folders_are_reported(tmp_path: Path) -> None:
    first, second = write_run(tmp_path / "a" / "version_0"), write_run(tmp_path / "b" / "version_0")
    folders = log_folders(None, f"{first.parent},{second.parent}")
    listed = index(*folders)
    assert "two runs are called version_0" in " ".join(listed.listing().problems)
    assert listed.open(listed.find("version_0")).folder == first


@pytest.mark.parametrize("address", ["gs://bucket/logs", "s3://bucket", "hdfs://host/logs"])
def test_an_address_of_another_file_system_is_not_taken_for_a_folder(address: str) -> None:
    assert log_folders(address, None) == []
    assert log_folders(None, f"{address},name:{address}") == []


def test_no_log_folder_means_no_runs() -> None:
    assert log_folders(None, None) == log_folders("", "") == []
    assert not index().has_runs()


def test_a_link_out_of_the_log_folder_is_named_and_not_followed(tmp_path: Path) -> None:
    write_run(tmp_path / "secret" / "version_0")
    logs = tmp_path / "logs"
    write_run(logs / "version_1")
    (logs / "linked").symlink_to(tmp_path / "secret")
    assert names(logs) == ["version_1"]
    assert "linked is a link out of the log folder" in problems(logs)


def test_a_link_within_the_log_folder_lists_no_run_twice(tmp_path: Path) -> None:
    write_run(tmp_path / "version_0")
    (tmp_path / "best").symlink_to(tmp_path / "version_0")
    (tmp_path / "loop").symlink_to(tmp_path)
    assert names(tmp_path) == ["version_0"]
    assert problems(tmp_path) == ""


def test_a_log_folder_may_itself_be_a_link(tmp_path: Path) -> None:
    write_run(tmp_path / "disk" / "version_0")
    (tmp_path / "logs").symlink_to(tmp_path / "disk")
    assert names(tmp_path / "logs") == ["version_0"]


def test_a_log_folder_that_is_a_link_to_itself_has_no_runs(tmp_path: Path) -> None:
    (tmp_path / "logs").symlink_to(tmp_path / "logs")
    assert names(tmp_path / "logs") == []


@pytest.mark.parametrize("name", ["benchmark.json", "profile/rank0.json"])
def test_a_file_of_a_run_that_leads_out_of_it_is_named_and_not_opened(
    tmp_path: Path, name: str
) -> None:
    secret = tmp_path / "secret.json"
    secret.write_text("{}")
    file = tmp_path / "logs" / "version_0" / name
    file.parent.mkdir(parents=True)
    file.symlink_to(secret)
    assert names(tmp_path / "logs") == []
    assert "not opened" in problems(tmp_path / "logs")


@pytest.mark.parametrize("name", ["benchmark.json", "profile/rank0.json"])
def test_a_named_pipe_is_not_taken_for_a_file(tmp_path: Path, name: str) -> None:
    file = tmp_path / "version_0" / name
    file.parent.mkdir(parents=True)
    os.mkfifo(file)
    assert names(tmp_path) == []
    assert "neither a file nor a folder" in problems(tmp_path)


def test_a_profile_folder_that_leads_out_of_the_run_is_named(tmp_path: Path) -> None:
    write_run(tmp_path / "other")
    run = tmp_path / "logs" / "version_0"
    run.mkdir(parents=True)
    (run / "profile").symlink_to(tmp_path / "other" / "profile")
    assert names(tmp_path / "logs") == []
    assert "profile could not be read" in problems(tmp_path / "logs")


@pytest.mark.skipif(os.geteuid() == 0, reason="root may read every folder")
def test_a_folder_that_cannot_be_read_is_named_and_the_others_are_listed(tmp_path: Path) -> None:
    write_run(tmp_path / "a" / "version_0").parent.chmod(0)
    write_run(tmp_path / "b" / "version_0")
    assert names(tmp_path) == ["b/version_0"]
    assert "a could not be read" in problems(tmp_path)
    (tmp_path / "a").chmod(0o700)


@pytest.mark.parametrize("number", [errno.EACCES, errno.EIO, errno.ESTALE])
@pytest.mark.parametrize("closed", ["a/version_0/benchmark.json", "a/version_0/profile/rank0.json"])
def test_a_file_that_cannot_be_looked_at_is_named_and_the_others_are_listed(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, number: int, closed: str
) -> None:
    for name in ("a/version_0", "b/version_0"):
        write_run(tmp_path / name)
        (tmp_path / name / "benchmark.json").write_text("{}")
    stat = Path.stat

    def failing(path: Path, **options: bool) -> os.stat_result:
        if path == tmp_path / closed and options.get("follow_symlinks", True):
            raise OSError(number, os.strerror(number), str(path))
        return stat(path, **options)

    monkeypatch.setattr(Path, "stat", failing)
    listed = index(tmp_path)
    assert listed.has_runs()
    assert {run.name for run in listed.listing().runs} == {"a/version_0", "b/version_0"}
    [problem] = listed.listing().problems
    assert problem == f"{tmp_path / closed} could not be read: {os.strerror(number)}"


def test_a_log_folder_that_cannot_be_looked_at_is_named(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    write_run(tmp_path / "open" / "version_0")
    is_dir = Path.is_dir

    def failing(path: Path) -> bool:
        if path.name == "closed":
            raise PermissionError(errno.EACCES, "Permission denied", str(path))
        return is_dir(path)

    monkeypatch.setattr(Path, "is_dir", failing)
    folders = (tmp_path / "closed", tmp_path / "open")
    assert names(*folders) == ["version_0"]
    assert problems(*folders) == f"{folders[0]} could not be read: Permission denied"


def test_a_folder_that_vanishes_during_the_search_is_named(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    write_run(tmp_path / "a" / "version_0")
    write_run(tmp_path / "b" / "version_0")
    scan = os.scandir

    def failing(path: Path) -> object:
        if Path(path).name == "a":
            raise PermissionError(13, "Permission denied")
        return scan(path)

    monkeypatch.setattr(log_folder.os, "scandir", failing)
    assert names(tmp_path) == ["b/version_0"]
    assert "a could not be read: Permission denied" in problems(tmp_path)


def test_a_name_that_is_not_utf8_is_named_and_not_listed(tmp_path: Path) -> None:
    try:
        (tmp_path / os.fsdecode(b"caf\xe9")).mkdir()
    except OSError:
        pytest.skip("this file system has names in UTF-8 only")
    write_run(tmp_path / "good")
    assert names(tmp_path) == ["good"]
    assert "has a name that is not UTF-8" in problems(tmp_path)


@pytest.mark.parametrize(
    "name", ["<script>alert(1)</script>", "a b", "ü", "x\ny", "'\"", "%2e%2e", "a..b"]
)
def test_any_other_name_is_found_as_it_is(tmp_path: Path, name: str) -> None:
    parts = name.split("/")
    run = write_run(tmp_path.joinpath(*parts))
    listed = index(tmp_path)
    assert [found.name for found in listed.listing().runs] == [name]
    assert listed.open(listed.find(name)).folder == run


@pytest.mark.parametrize(
    "name",
    ["", "..", "../secret", "/", "/etc", "version_0/../../secret", "version_0/", "./version_0",
     "version_0\0", "%2e%2e/secret", "VERSION_0", "x" * 1_000_000, "version_0/profile"],
)  # fmt: skip
def test_only_the_exact_name_of_a_listed_run_finds_one(tmp_path: Path, name: str) -> None:
    write_run(tmp_path / "secret")
    write_run(tmp_path / "logs" / "version_0")
    with pytest.raises(RequestError, match="no run is called") as caught:
        index(tmp_path / "logs").find(name)
    assert caught.value.status == 404
    assert len(str(caught.value)) < 300


def test_a_run_that_became_a_link_since_it_was_listed_is_not_opened(tmp_path: Path) -> None:
    run = write_run(tmp_path / "logs" / "version_0")
    listed = index(tmp_path / "logs")
    found = listed.find("version_0")
    run.rename(tmp_path / "elsewhere")
    with pytest.raises(RequestError, match="is gone"):
        listed.open(found)
    run.symlink_to(tmp_path / "elsewhere")
    with pytest.raises(RequestError, match="a link to"):
        listed.open(found)


def test_the_search_is_bounded_in_depth(tmp_path: Path) -> None:
    deep = tmp_path.joinpath(*"abcdefghij")
    write_run(deep)
    write_run(tmp_path / "a" / "version_0")
    assert names(tmp_path) == ["a/version_0"]
    assert "8 folders deep" in problems(tmp_path)


def test_the_search_is_bounded_in_folders_and_runs(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    for number in range(5):
        write_run(tmp_path / f"version_{number}")
    monkeypatch.setattr(run_index, "MAX_RUNS", 3)
    assert len(names(tmp_path)) == 3
    assert "more than 3 runs" in problems(tmp_path)
    monkeypatch.setattr(log_folder, "MAX_FOLDERS", 2)
    assert len(names(tmp_path)) == 1
    assert "more than 2 folders" in problems(tmp_path)


def test_many_problems_are_counted(tmp_path: Path) -> None:
    (tmp_path / "logs").mkdir()
    for number in range(30):
        (tmp_path / "logs" / f"link{number:02}").symlink_to(tmp_path)
    listed = index(tmp_path / "logs").listing().problems
    assert len(listed) == 21
    assert listed[-1] == "and 10 more"


@pytest.mark.parametrize("name", [".venv", ".uv", "a/.cache", "..a"])
def test_hidden_folders_are_not_searched(tmp_path: Path, name: str) -> None:
    write_run(tmp_path / "version_0")
    write_run(tmp_path / name / "version_1")
    (tmp_path / name / "link").symlink_to("/usr")
    assert names(tmp_path) == ["version_0"]
    assert problems(tmp_path) == ""
    assert names(tmp_path / name) == ["version_1"]


def test_the_path_of_a_run_is_an_argument_of_a_command(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    for name in ("work/lightning_logs/m/version_0", "elsewhere/version_1", "work/-o/version_2"):
        write_run(tmp_path / name)
    (tmp_path / "work" / "linked").symlink_to(tmp_path / "elsewhere")
    monkeypatch.chdir(tmp_path / "work")

    def paths(*logdirs: str) -> dict[str, str]:
        folders = [folder for logdir in logdirs for folder in log_folders(logdir, None)]
        return {run.name: run.path for run in RunIndex(folders).listing().runs}

    assert paths("lightning_logs") == {"m/version_0": "lightning_logs/m/version_0"}
    assert paths("lightning_logs/m/version_0/") == {".": "lightning_logs/m/version_0"}
    assert paths("linked", "-o") == {"version_1": "linked/version_1", "version_2": "./-o/version_2"}
    outside = tmp_path / "elsewhere"
    assert paths(str(outside)) == {"version_1": str(outside / "version_1")}
    monkeypatch.chdir(outside / "version_1")
    assert paths(".") == {".": "."}


def test_exports_and_checkpoints_of_a_run_are_not_searched(tmp_path: Path) -> None:
    run = write_run(tmp_path / "version_0")
    write_run(run / "exports" / "onnx_int8")
    write_run(run / "nested")
    assert set(names(tmp_path)) == {"version_0", "version_0/nested"}


def test_a_listing_is_kept_for_seconds_only(tmp_path: Path) -> None:
    clock = Clock()
    kept = index(tmp_path, clock=clock)
    assert kept.listing().runs == []
    write_run(tmp_path / "version_0")
    clock.seconds = 2.9
    assert kept.listing().runs == []
    clock.seconds = 3.1
    assert len(kept.listing().runs) == 1


def test_asking_whether_there_are_runs_ends_at_the_first_and_is_kept(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    write_run(tmp_path / "a")
    write_run(tmp_path / "b" / "c")
    searched: list[str] = []
    scan = os.scandir
    monkeypatch.setattr(
        log_folder.os, "scandir", lambda path: (searched.append(Path(path).name), scan(path))[1]
    )
    clock = Clock()
    kept = index(tmp_path, clock=clock)
    assert kept.has_runs()
    assert searched == [tmp_path.name, "a"]
    clock.seconds = 29
    assert kept.has_runs()
    assert searched == [tmp_path.name, "a"]


def test_a_run_that_is_known_is_found_without_another_search(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    write_run(tmp_path / "version_0")
    clock = Clock()
    kept = index(tmp_path, clock=clock)
    kept.find("version_0")
    clock.seconds = 60
    searched: list[str] = []
    scan = os.scandir
    monkeypatch.setattr(
        log_folder.os, "scandir", lambda path: (searched.append(Path(path).name), scan(path))[1]
    )
    kept.find("version_0")
    assert searched == []
    write_run(tmp_path / "version_1")
    kept.find("version_1")
    assert "version_1" in searched
