"""The options by which OpenVINO computes with as many threads as it is asked for.

https://docs.openvino.ai/2026/openvino-workflow/running-inference/inference-devices-and-modes/cpu-device/performance-hint-and-thread-scheduling.html
"""

from __future__ import annotations

from typing import TYPE_CHECKING

if TYPE_CHECKING or __package__:  # a part of a package
    from . import machine
else:  # in the folder of a model
    import machine


def thread_options(threads: int) -> dict[str, int | bool | str]:
    """Return the properties to compile a model with for a number of threads.

    ``INFERENCE_NUM_THREADS`` alone is an upper limit: with the hint ``LATENCY``, its default,
    OpenVINO leaves out the second thread of each core of a processor with hyper-threading.

    With fewer threads than cores it would pin them to the first cores that the process may use. So
    processes that have the same cores would share a few of them, and so would several models of one
    process. With a thread for each core, pinning is left to OpenVINO.

    Args:
        threads: of one operator.
    """
    options: dict[str, int | bool | str] = {
        "INFERENCE_NUM_THREADS": threads,
        "ENABLE_HYPER_THREADING": True,
        "SCHEDULING_CORE_TYPE": "ANY_CORE",
    }
    # A container's quota takes no core away: all containers could choose the first ones.
    if threads < len(machine.core_numbers()):
        options["ENABLE_CPU_PINNING"] = False
    return options
