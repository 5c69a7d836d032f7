"""Run folders for the tests of TensorBoard's plugin, and the plugin within TensorBoard's server."""

from __future__ import annotations

import argparse
import gzip
import json
from collections.abc import Callable
from pathlib import Path
from typing import Any

from tensorboard.backend.application import TensorBoardWSGIApp
from tensorboard.backend.event_processing.data_provider import MultiplexerDataProvider
from tensorboard.backend.event_processing.plugin_event_multiplexer import EventMultiplexer
from werkzeug.test import Client, TestResponse

from src.tensorboard_plugin.plugin import LightshipPlugin

SUFFIX = ".pt.trace.json.gz"
PREFIX = "/data/plugin/lightship/"


def window(stage: str = "train", epoch: int = 0, **changes: Any) -> dict[str, Any]:
    """Return a window of ``rank<N>.json``."""
    return {
        "stage": stage,
        "epoch": epoch,
        "global_step": 3 * epoch,
        "first_step": 1,
        "file": f"{stage}-rank0.{epoch}{SUFFIX}",
        "bytes": 100,
        "step_seconds": [0.5, 0.25],
        "regions": {"data loading": 0.25, "forward": 0.1, "other": 0.025},
        "device": {},
        "operators": [
            {"name": "aten::mm", "self_seconds": 0.1, "calls": 2.0, "allocated_bytes": 8.0}
        ],
        "memory": {"cpu": [[0.0, 0.0], [0.5, 1e6]]},
        "problems": [],
        **changes,
    }


def rank_file(*windows: dict[str, Any], rank: int = 0, **changes: Any) -> dict[str, Any]:
    """Return the content of ``rank<N>.json``."""
    return {
        "schema_version": 1,
        "rank": rank,
        "options": {"spread": "start", "active": 3},
        "context": {
            "batch_size": 32,
            "num_workers": 0,
            "device": "cpu",
            "precision": "32-true",
            "faster_in_bfloat16": True,
            "log_every_n_steps": 5,
        },
        "notes": [],
        "windows": list(windows),
        **changes,
    }


def write_trace(path: Path, content: object = None) -> Path:
    """Write a trace of one step."""
    events = [{"ph": "X", "name": "ProfilerStep#1", "ts": 0, "dur": 10, "tid": 1, "pid": 1}]
    text = json.dumps({"traceEvents": events} if content is None else content)
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_bytes(gzip.compress(text.encode()))
    return path


def write_run(folder: Path, *windows: dict[str, Any], rank: int = 0, **changes: Any) -> Path:
    """Write a run with a profile and its traces; return its folder."""
    profile = folder / "profile"
    profile.mkdir(parents=True, exist_ok=True)
    content = rank_file(*(windows or (window(),)), rank=rank, **changes)
    (profile / f"rank{rank}.json").write_text(json.dumps(content))
    for shown in content["windows"]:
        name = shown["file"]
        if name and Path(name).name == name:
            write_trace(profile / name)
    return folder


class Server:
    """TensorBoard's server with the plugin alone, without a socket."""

    def __init__(self, logdir: str | Path, specification: str = "", prefix: str = "") -> None:
        self.logdir = logdir
        flags = argparse.Namespace(
            logdir=str(logdir),
            logdir_spec=specification,
            samples_per_plugin={},
            window_title="",
            path_prefix=prefix,
            generic_data="true",
        )
        self.multiplexer = EventMultiplexer()
        provider = MultiplexerDataProvider(self.multiplexer, str(logdir))
        self.client = Client(TensorBoardWSGIApp(flags, [LightshipPlugin], provider))
        self._prefix = prefix

    def load_events(self, name: str | None = None) -> None:
        """Read the event files, as the server does in the background."""
        self.multiplexer.AddRunsFromDirectory(str(self.logdir), name).Reload()

    def get(self, path: str, method: str = "GET", **options: Any) -> TestResponse:
        """Return the response to a request of the plugin."""
        query = options.pop("query", None)
        address = f"{self._prefix}{PREFIX}{path}"
        # Buffered, so that the files that are sent are closed.
        return self.client.open(
            address, method=method, query_string=query, buffered=True, **options
        )

    def json(self, path: str, status: int = 200, **query: Any) -> Any:
        """Return the JSON of an answer."""
        response = self.get(path, query=query)
        assert response.status_code == status, response.get_data()
        assert response.mimetype == "application/json"
        return json.loads(response.get_data())

    def error(self, path: str, status: int, **query: Any) -> str:
        """Return the sentence of an answer that is an error."""
        sentence = self.json(path, status, **query)["error"]
        assert "\n" not in sentence
        return str(sentence)


MakeServer = Callable[..., Server]
