"""TensorBoard's plugin ``lightship``: its routes. Each view has a module of its own."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from pathlib import Path
from typing import TYPE_CHECKING, Any

import msgspec
from tensorboard import plugin_util
from tensorboard.plugins import base_plugin
from werkzeug.wrappers import Request, Response

from src.tensorboard_plugin import responses, throughput, traces, training_profiles
from src.tensorboard_plugin.log_folder import log_folders
from src.tensorboard_plugin.overview import overview
from src.tensorboard_plugin.packaged_files import PackagedFile, packaged_files
from src.tensorboard_plugin.responses import (
    BAD_ARGUMENT,
    DAMAGED,
    RequestError,
    argument,
)
from src.tensorboard_plugin.result_cache import PassingResult, ResultCache
from src.tensorboard_plugin.run_index import RunIndex
from src.tensorboard_plugin.traces import FoundTrace

if TYPE_CHECKING:
    from _typeshed.wsgi import WSGIApplication

_MAX_COMPARED = 20  # runs in one answer


class LightshipPlugin(base_plugin.TBPlugin):  # type: ignore[misc]  # tensorboard has no types
    """The tab ``Lightship``. Its answers are listed in docs/profiling.md.

    Args:
        context: TensorBoard's flags and data.
    """

    plugin_name = "lightship"

    def __init__(self, context: base_plugin.TBContext) -> None:
        super().__init__(context)
        specification = getattr(context.flags, "logdir_spec", None)
        self._runs = RunIndex(log_folders(context.logdir, specification))
        self._data_provider = context.data_provider
        self._parsed_traces = ResultCache()
        self._fragments = ResultCache()

    def get_plugin_apps(self) -> Mapping[str, WSGIApplication]:
        """Return the routes: the views, and one for each packaged file."""
        routes: dict[str, Callable[[Request], Response]] = {
            "/runs": self._list_runs,
            "/overview": self._show_overview,
            "/traces": self._list_traces,
            "/operators": self._show_operators,
            "/timeline": self._show_timeline,
            "/download": self._send_trace,
            "/files": self._show_files,
        }
        routes |= {path: _sender(file) for path, file in packaged_files().items()}
        return {path: responses.application(handle) for path, handle in routes.items()}

    def is_active(self) -> bool:
        """Return True if there is a run to show."""
        return self._runs.has_runs()

    def frontend_metadata(self) -> base_plugin.FrontendMetadata:
        """Return the tab's title and the module that draws it."""
        return base_plugin.FrontendMetadata(es_module_path="/index.js", tab_name="Lightship")

    def _list_runs(self, request: Request) -> Response:
        return responses.json(request, self._runs.listing())

    def _show_overview(self, request: Request) -> Response:
        found = self._runs.find(argument(request, "run"))
        profiles = training_profiles.read(self._runs.open(found))
        curves, problems = throughput.read(
            self._data_provider,
            plugin_util.context(request.environ),
            plugin_util.experiment_id(request.environ),
            found.tensorboard_name,
        )
        run_traces = traces.find(self._runs.open(found), profiles)
        return responses.json(request, overview(found.name, profiles, run_traces, curves, problems))

    def _list_traces(self, request: Request) -> Response:
        return responses.json(request, self._traces(request).listing)

    def _show_operators(self, request: Request) -> Response:
        from src.profiling.operator_table import GROUPS, operator_table

        by = argument(request, "by")
        if by not in GROUPS:
            expected = ", ".join(GROUPS)
            raise RequestError(BAD_ARGUMENT, f"by: expected one of {expected}")
        trace = self._trace(request)
        table = self._parsed(trace, by, lambda path: msgspec.json.encode(operator_table(path, by)))
        named: dict[str, Any] = {
            "run": argument(request, "run"),
            "trace": trace.listed.id,
            "label": trace.listed.label,
        }
        return responses.json_text(request, _with_fields(named, table))

    def _show_timeline(self, request: Request) -> Response:
        from src.profiling.timeline import speedscope

        trace = self._trace(request)
        return responses.gzipped_json(request, self._parsed(trace, "timeline", speedscope))

    def _send_trace(self, request: Request) -> Response:
        return responses.attachment(request, self._trace(request).path)

    def _show_files(self, request: Request) -> Response:
        from src.tensorboard_plugin.files import fragment

        names = list(dict.fromkeys(request.args.getlist("run")))
        if not 1 <= len(names) <= _MAX_COMPARED:
            raise RequestError(
                BAD_ARGUMENT, f"run: expected 1 to {_MAX_COMPARED} runs; found {len(names)}"
            )
        runs = [self._runs.open(self._runs.find(name)) for name in names]

        def make() -> bytes | PassingResult:
            shown = fragment(runs, names)
            text = shown.html.encode("utf-8", "replace")
            return text if shown.is_whole else PassingResult(text)

        text = self._fragments.get([run.benchmark for run in runs], tuple(names), make)
        return responses.html(request, text)

    def _traces(self, request: Request) -> traces.RunTraces:
        run = self._runs.open(self._runs.find(argument(request, "run")))
        return traces.find(run, training_profiles.read(run))

    def _trace(self, request: Request) -> FoundTrace:
        return self._traces(request).find(argument(request, "trace"))

    def _parsed(self, trace: FoundTrace, view: str, parse: Callable[[Path], bytes]) -> bytes:
        """Return what a function makes of a trace.

        Raises:
            RequestError: the trace is damaged, larger than what can be shown, or could not be
                read; the last of these may pass and is not remembered.
        """

        def make() -> bytes:
            try:
                return parse(trace.path)
            except ValueError as error:
                raise RequestError(DAMAGED, f"{trace.path.name}: {error}") from error

        try:
            return self._parsed_traces.get([trace.path], view, make)
        except OSError as error:
            reason = error.strerror or error
            sentence = f"{trace.path.name} could not be read: {reason}"
            raise RequestError(DAMAGED, sentence) from error


def _sender(file: PackagedFile) -> Callable[[Request], Response]:
    return lambda request: responses.packaged(request, file.path.name, file.read())


def _with_fields(named: dict[str, Any], record: bytes) -> bytes:
    """Return an encoded object with further fields before its own."""
    return msgspec.json.encode(named)[:-1] + b"," + record[1:]
