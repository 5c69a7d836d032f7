"""The part of Lightship that is installed: it finds the clone and loads the plugin from there.

TensorBoard imports this module whenever it starts, and ends if that fails. So it needs nothing but
TensorBoard itself, and each failure is a line in TensorBoard's log.

Nothing is added to ``sys.path``: the folders of the clone would be importable by everything in
TensorBoard's process, or a ``src`` in the folder that TensorBoard was started from would take the
place of ours. The package ``src`` of the clone is imported by its path instead. A different ``src``
that was imported before stays, and the tab is then absent.
"""

from __future__ import annotations

import importlib
import json
import logging
import re
import sys
from collections.abc import Iterator
from importlib import metadata
from importlib.util import module_from_spec, spec_from_file_location
from pathlib import Path
from types import ModuleType
from urllib.parse import unquote, urlsplit

from tensorboard import version
from tensorboard.plugins import base_plugin

_DISTRIBUTION = "lightship"
_PACKAGE = "src"
_PLUGIN = "src.tensorboard_plugin.plugin"
_MARK = Path(_PACKAGE, "tensorboard_plugin", "plugin.py")  # only a clone has it
_OLDEST = (2, 20)
_AGAIN = "install it again: python -m pip install --no-deps FOLDER, with the folder of Lightship"

_logger = logging.getLogger("tensorboard")


class _UnavailableError(Exception):
    """The plugin cannot be loaded; the message names the remedy."""


class LightshipLoader(base_plugin.TBLoader):  # type: ignore[misc]  # tensorboard has no types
    """Loads the plugin from a clone of Lightship."""

    def load(self, context: base_plugin.TBContext) -> base_plugin.TBPlugin | None:
        """Return the plugin; None, with a line in the log, if it cannot be loaded."""
        try:
            _require_new_tensorboard()
            clone = _find_clone()
            try:
                plugin: base_plugin.TBPlugin = _import_plugin(clone).LightshipPlugin(context)
            except (Exception, SystemExit) as error:
                if isinstance(error, _UnavailableError):
                    raise
                _logger.debug("Lightship: the code in %s failed", clone, exc_info=True)
                raise _UnavailableError(
                    f"the code in {clone} failed with {type(error).__name__}: {error}; update the "
                    "folder and its environment, or remove the tab: pip uninstall lightship"
                ) from error
        except _UnavailableError as error:
            line = " ".join(str(error).split())
            _logger.warning("TensorBoard starts without the tab Lightship: %s", line)
            return None
        return plugin


def _require_new_tensorboard() -> None:
    numbers = re.match(r"(\d+)\.(\d+)", version.VERSION)
    if numbers and (int(numbers[1]), int(numbers[2])) < _OLDEST:
        oldest = ".".join(map(str, _OLDEST))
        raise _UnavailableError(
            f"TensorBoard {version.VERSION} is too old; install tensorboard>={oldest}"
        )


def _find_clone() -> Path:
    """Return the folder of Lightship.

    Raises:
        _UnavailableError: there is none.
    """
    candidates = list(_candidates())
    for folder in candidates:
        if (folder / _MARK).is_file():
            return folder
    places = ", ".join(dict.fromkeys(map(str, candidates))) or "no folder"
    raise _UnavailableError(f"{_MARK} was not found in {places}; if Lightship was moved, {_AGAIN}")


def _candidates() -> Iterator[Path]:
    """Yield the folders in which a clone may be.

    The folder of a ``.venv`` comes first: after a clone was copied with its ``.venv``, the
    recorded folder is still that of the original. The folder of any other environment, such as
    ``/tmp/venv``, may be one that other users write to.
    """
    environment = Path(sys.prefix)
    if environment.name == ".venv":
        yield environment.parent
    if (recorded := _recorded_folder()) is not None:
        yield recorded
    package = sys.modules.get(_PACKAGE)
    yield from (Path(folder).parent for folder in getattr(package, "__path__", ()))


def _recorded_folder() -> Path | None:
    """Return the folder that this package was installed from, which pip and uv record (PEP 610)."""
    try:
        text = metadata.distribution(_DISTRIBUTION).read_text("direct_url.json")
        address = urlsplit(json.loads(text or "{}").get("url", ""))
    except (metadata.PackageNotFoundError, OSError, ValueError, AttributeError):
        return None  # not installed by pip or uv from a folder
    return Path(unquote(address.path)) if address.scheme == "file" else None


def _import_plugin(clone: Path) -> ModuleType:
    """Import the plugin's module from a clone; after a failure nothing of it stays imported.

    Raises:
        _UnavailableError: a different package named ``src`` is imported already.
    """
    if (package := sys.modules.get(_PACKAGE)) is not None:
        folders = [Path(folder) for folder in getattr(package, "__path__", ())]
        if not any((folder.parent / _MARK).is_file() for folder in folders):
            place = folders[0] if folders else getattr(package, "__file__", "unknown")
            raise _UnavailableError(
                f"a different package named {_PACKAGE} is imported from {place}; start TensorBoard "
                "in an environment without it"
            )
        return importlib.import_module(_PLUGIN)
    folder = clone / _PACKAGE
    spec = spec_from_file_location(
        _PACKAGE, folder / "__init__.py", submodule_search_locations=[str(folder)]
    )
    if spec is None or spec.loader is None:
        raise _UnavailableError(f"{folder} cannot be imported; {_AGAIN}")
    package = sys.modules[_PACKAGE] = module_from_spec(spec)
    try:
        spec.loader.exec_module(package)
        return importlib.import_module(_PLUGIN)
    except BaseException:
        for name in [name for name in sys.modules if name.partition(".")[0] == _PACKAGE]:
            del sys.modules[name]
        raise
