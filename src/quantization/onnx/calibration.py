"""Calibration: the range of each activation on the calibration images, by one of five methods."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any, cast

import numpy as np
from numpy.typing import NDArray

from src.backends.onnx.runtime import INPUT
from src.quantization.onnx.recipe import Calibration
from src.run.call_size import calls_of
from src.run.file_input import Batch

if TYPE_CHECKING:
    from onnxruntime.quantization.calibrate import TensorsData

Ranges = dict[str, tuple[float, float]]
# From ONNX Runtime's collector: counts (B,) and edges (B + 1,) of bins around zero with B even,
# the minimum, the maximum, and further items.
Histogram = tuple[Any, ...]

_GROUP = 16  # images whose extremes are averaged, and of one call at most
_HISTOGRAM_BATCH = 8  # images at most, of which all activations are in memory at once
_BINS = 2048
_LEVELS = 128  # of the absolute values in 8 bits
_MAX_THRESHOLDS = 256


class Calibrations:
    """Ranges by method, computed at the first use.

    - ``minmax``: the minimum and the maximum over all images.
    - ``average``: the mean over groups of 16 images of their minimum and maximum, so that an
      outlier in one image has little effect.
    - ``percentile P``: P % of the values, the same share being cut off at both ends.
    - ``entropy``: the clipping that loses the least information, see :func:`least_divergence`.

    Args:
        file: the float model.
        images: (n, 3, H, W).
        scratch: an empty folder.
        known: ranges by method that are not to be computed.
    """

    def __init__(
        self,
        file: Path,
        images: Batch,
        scratch: Path,
        known: Mapping[Calibration, Ranges] | None = None,
    ) -> None:
        self._file = file
        self._images = images
        self._scratch = scratch
        self._known: dict[Calibration, Ranges] = dict(known or {})
        self._extremes: list[Ranges] | None = None
        self._histograms: Any = None

    def ranges(self, method: Calibration) -> TensorsData:
        """Return the range of each activation in the form that the quantizer takes."""
        from onnxruntime.quantization import CalibrationMethod
        from onnxruntime.quantization.calibrate import TensorsData

        # A new object each time, because the quantizer changes it.
        return TensorsData(
            CalibrationMethod.MinMax,
            {
                name: (np.array(low, np.float32), np.array(high, np.float32))
                for name, (low, high) in self.ends(method).items()
            },
        )

    def ends(self, method: Calibration) -> Ranges:
        """Return the lower and the upper end of each activation's range."""
        if method not in self._known:
            self._known[method] = self._compute(method)
        return self._known[method]

    def _compute(self, method: Calibration) -> Ranges:
        if method in {"minmax", "average"}:
            if self._extremes is None:
                self._extremes = self._extremes_of(
                    self._images[start : start + _GROUP]
                    for start in range(0, len(self._images), _GROUP)
                )
            return _merged(self._extremes, averages=method == "average")
        collector = self._histogram_collector()
        if method == "entropy":
            return {
                name: entropy_range(histogram)
                for name, histogram in collector.histogram_dict.items()
            }
        percent = float(method.removeprefix("percentile "))
        return {
            name: percentile_range(histogram, percent)
            for name, histogram in collector.histogram_dict.items()
        }

    def _extremes_of(self, groups: Iterable[Batch]) -> list[Ranges]:
        """Return the minimum and the maximum of each activation on each group of images."""
        from onnxruntime.quantization import CalibrationMethod

        calibrator = self._calibrator(CalibrationMethod.MinMax)
        extremes = []
        for group in groups:
            calibrator.calibrate_tensors_range = None  # else those of earlier groups are merged in
            calibrator.collect_data(_reader(calls_of(group, _GROUP)))
            computed = calibrator.compute_data()
            extremes.append({name: _ends(*data.range_value) for name, data in computed.items()})
        return extremes

    def _histogram_collector(self) -> Any:
        """Collect ONNX Runtime's histograms once, for all percentiles and the entropy.

        The first call sets the width of the bins. So where it has fewer images than usual, the
        collector begins with an empty histogram for as many as usual: the activations of one image
        may be small, and the bins of all others would be far too many.
        """
        from onnxruntime.quantization import CalibrationMethod

        if self._histograms is None:
            usual = self._images[:_HISTOGRAM_BATCH]
            is_usual = len(next(calls_of(self._images, _HISTOGRAM_BATCH))) == len(usual)
            begun = None if is_usual else self._extremes_of([usual])[0]
            # A symmetric range, the default, would spend half of an unsigned range on negative
            # values that do not occur.
            calibrator = self._calibrator(
                CalibrationMethod.Percentile, symmetric=False, num_bins=_BINS
            )
            if begun is not None:
                calibrator.collector = _empty_histograms(calibrator, begun)
            for batch in calls_of(self._images, _HISTOGRAM_BATCH):
                # One call per batch, because a call keeps all activations of its batches.
                calibrator.collect_data(_reader([batch]))
            self._histograms = calibrator.collector
        return self._histograms

    def _calibrator(self, method: Any, **options: Any) -> Any:
        from onnxruntime.quantization.calibrate import create_calibrator

        return create_calibrator(
            self._file,
            operators(),
            augmented_model_path=str(self._scratch / "calibrated.onnx"),
            calibrate_method=method,
            extra_options=options,
        )


def operators() -> list[str]:
    """Return the types of nodes that ONNX Runtime can quantize."""
    from onnxruntime.quantization.registry import QDQRegistry, QLinearOpsRegistry

    return sorted({*QDQRegistry, *QLinearOpsRegistry})


def least_divergence(counts: NDArray[np.int64]) -> int:
    """Return the number of bins of a histogram of absolute values to keep.

    The threshold minimises the Kullback-Leibler divergence from the clipped distribution to the
    same distribution in 128 levels (Migacz, 8-bit Inference with TensorRT, GTC 2017). ONNX
    Runtime's own entropy calibrator has as many bins as levels by default, so that there is one
    threshold only, and takes minutes with more bins.
    """
    size = len(counts)
    step = max(1, (size - _LEVELS) // _MAX_THRESHOLDS)
    candidates: list[int] = [*range(_LEVELS, size, step), size]
    divergences = [_divergence(counts, kept) for kept in candidates]
    return candidates[int(np.argmin(divergences))]


def _divergence(counts: NDArray[np.int64], kept: int) -> float:
    """Return the divergence in nats if the first ``kept`` bins are kept."""
    inside = counts[:kept].astype(np.float64)
    clipped = inside.copy()
    clipped[-1] += counts[kept:].sum()
    level = np.arange(kept) * _LEVELS // kept  # of each bin
    filled = inside > 0
    sums = np.bincount(level, inside, _LEVELS)
    bins = np.maximum(np.bincount(level, filled, _LEVELS), 1)
    quantized = np.where(filled, (sums / bins)[level], 0)
    seen = clipped > 0
    if not seen.any() or not filled.any():
        return float("inf")
    p = clipped[seen] / clipped.sum()
    q = np.maximum(quantized[seen], 1e-4) / quantized.sum()
    return float((p * np.log(p / q)).sum())


def percentile_range(histogram: Histogram, percent: float) -> tuple[float, float]:
    """Return the range of the bins that hold ``percent`` of the values.

    The same share is cut off at both ends. The last bin is kept whole. ONNX Runtime ends the
    range at its lower edge, but if an outlier makes bins wide, nearly all values are in that bin.
    """
    counts, edges, low, high = histogram[:4]
    below = np.cumsum(counts) / counts.sum()
    cut = (100 - percent) / 200
    first = int(np.searchsorted(below, cut, side="right"))
    last = min(int(np.searchsorted(below, 1 - cut)), len(counts) - 1)
    return max(float(low), float(edges[first])), min(float(high), float(edges[last + 1]))


def entropy_range(histogram: Histogram) -> tuple[float, float]:
    """Return the range of the bins that :func:`least_divergence` keeps."""
    counts, edges, low, high = histogram[:4]
    half = len(counts) // 2
    kept = least_divergence(counts[half:] + counts[:half][::-1])
    threshold = float(edges[half + kept])
    return max(float(low), -threshold), min(float(high), threshold)


def _ends(low: Any, high: Any) -> tuple[float, float]:
    return float(np.asarray(low).item()), float(np.asarray(high).item())


def _merged(extremes: Sequence[Ranges], *, averages: bool) -> Ranges:
    """Return the mean of the groups' minima and maxima, or the least and the largest."""
    lower, upper = (np.nanmean, np.nanmean) if averages else (np.nanmin, np.nanmax)
    merged = {}
    for name in extremes[0]:
        lows, highs = (
            np.array([[group[name][end]] for group in extremes], np.float32) for end in (0, 1)
        )
        merged[name] = _ends(lower(lows, axis=0), upper(highs, axis=0))
    return merged


def _empty_histograms(calibrator: Any, ends: Ranges) -> Any:
    """Return a collector as it would be after a call on images with these extremes, but empty."""
    from onnxruntime.quantization.calibrate import HistogramCollector

    collector = HistogramCollector(
        calibrator.method,
        calibrator.symmetric,
        calibrator.num_bins,
        calibrator.num_quantized_bins,
        calibrator.percentile,
        calibrator.scenario,
    )
    for name, (low, high) in ends.items():
        threshold = np.array(max(abs(low), abs(high)), np.float32)
        whole: Any = (-threshold, threshold)  # in float32, as the collector has them
        counts, edges = np.histogram(np.empty(0, np.float32), calibrator.num_bins, range=whole)
        collector.histogram_dict[name] = (
            counts, edges, np.float32(low), np.float32(high), threshold,
        )  # fmt: skip
    return collector


def _reader(batches: Iterable[Batch]) -> Any:
    from onnxruntime.quantization import CalibrationDataReader

    class Reader(CalibrationDataReader):  # type: ignore[misc]  # onnxruntime is untyped
        def __init__(self) -> None:
            self._feeds = iter(batches)

        def get_next(self) -> dict[str, Batch] | None:
            batch = next(self._feeds, None)
            return None if batch is None else {INPUT: batch}

    return cast("Any", Reader())
