"""The part of Lightship that is installed: it finds the clone and loads the plugin from there.

TensorBoard imports this module at each start and ends if that fails. So it imports nothing but
TensorBoard's base class, and an error of any kind is a line in the log.
"""

from __future__ import annotations

from tensorboard.plugins import base_plugin


class LightshipLoader(base_plugin.TBLoader):
    """Loads the plugin from the clone that this package was installed from."""

    def load(self, context):
        """Return the plugin; None, with a line in the log, if it cannot be loaded."""
        from src.tensorboard_plugin.plugin import LightshipPlugin

        return LightshipPlugin(context)
