"""Throughput of a whole training, from the scalars that TensorBoard has read already."""

from __future__ import annotations

import math
from typing import Any

import msgspec
from tensorboard import errors as tensorboard_errors
from tensorboard.data import provider

from src.errors import describe

TITLES = {
    "throughput/images_per_second": "Images a second",
    "throughput/step_seconds": "Time a step",
    "throughput/data_share": "Share of a step that waits for data",
    "throughput/peak_rss_bytes": "Peak memory of the process",
    "throughput/peak_device_bytes": "Peak memory of the device",
}
_MAX_POINTS = 1000  # of a curve: more than a chart can show
_PLUGIN = "scalars"  # TensorBoard's name for what add_scalar() writes


class Curve(msgspec.Struct, frozen=True, kw_only=True):
    """A scalar over the training: pairs of step and value."""

    tag: str
    title: str
    points: list[tuple[int, float]]


def read(
    data_provider: provider.DataProvider | None, context: Any, experiment: str, run: str
) -> tuple[list[Curve], list[str]]:
    """Return the curves of a run, and why there are none.

    Args:
        data_provider: TensorBoard's.
        context: of the request.
        experiment: id of TensorBoard's experiment, of the request.
        run: TensorBoard's name of the run.
    """
    if data_provider is None:
        return [], ["TensorBoard was started without a data provider: no throughput is shown"]
    try:
        scalars = data_provider.read_scalars(
            context,
            experiment_id=experiment,
            plugin_name=_PLUGIN,
            downsample=_MAX_POINTS,
            run_tag_filter=provider.RunTagFilter(runs=[run], tags=list(TITLES)),
        )
    except tensorboard_errors.NotFoundError:
        return [], []
    except Exception as error:  # of whatever provider TensorBoard was started with
        return [], [f"TensorBoard could not read the throughput: {describe(error)}"]
    by_tag = scalars.get(run, {})
    curves = [
        Curve(
            tag=tag,
            title=title,
            points=[(p.step, p.value) for p in by_tag[tag] if math.isfinite(p.value)],
        )
        for tag, title in TITLES.items()
        if tag in by_tag
    ]
    return [curve for curve in curves if curve.points], []
