"""The worker process: answers the requests of its parent with one exported file.

    python -m src.worker.server FORMAT FOLDER DEVICE THREADS CONNECTION high|normal

It imports only the format's module and, on request, the format's runtime. The messages are those of
:mod:`src.worker.protocol`. Nothing is pickled.
"""

from __future__ import annotations

import os
import sys
from multiprocessing.connection import Connection
from pathlib import Path
from typing import assert_never

import numpy as np

from src.backends.base import Unavailable
from src.errors import describe
from src.run.file_input import Batch
from src.system import os_errors
from src.worker import lifetime, protocol, wire
from src.worker.answer import Logits, UnusableAnswer
from src.worker.worker import Worker


def serve(connection: Connection, worker: Worker) -> None:
    """Answer requests until the other side closes."""
    while True:
        try:
            call = wire.decoded_call(connection.recv_bytes())
        except EOFError:
            return
        images: Batch = np.zeros(0, dtype=np.float32)
        if call.shape is not None:
            data = np.frombuffer(bytearray(connection.recv_bytes()), dtype=call.dtype)
            images = data.reshape(call.shape)
        message: protocol.Message
        try:
            answer = _answer(worker, call.request, images)
        except Unavailable as error:
            message = protocol.NotAvailable(reason=str(error))
        except UnusableAnswer as error:
            message = protocol.Failed(reason=str(error), not_finite=error.images)
        except Exception as error:  # sent to the parent, which stores it as the row's reason
            message = protocol.Failed(reason=_reason(error))
        else:
            if isinstance(answer, np.ndarray):
                connection.send_bytes(wire.encoded(protocol.Logits(shape=answer.shape)))
                connection.send_bytes(answer.tobytes())
                continue
            message = answer
        connection.send_bytes(wire.encoded(message))


def _answer(  # noqa: C901, PLR0911, PLR0912  # one case a request
    worker: Worker, request: protocol.AnyRequest, images: Batch
) -> protocol.Answer | Logits:
    match request:
        case protocol.ImportRuntime():
            return worker.import_runtime()
        case protocol.Load():
            return worker.load(request.classes, embedded=request.embedded)
        case protocol.Predict():
            return worker.predict(images)
        case protocol.Hold():
            return worker.hold(images)
        case protocol.AnswerHeld():
            return worker.answer_held(request.images)
        case protocol.WarmUp():
            return worker.warm_up(request.tolerance, request.max_seconds, request.files)
        case protocol.Time():
            return worker.time(request.samples, request.max_seconds)
        case protocol.Rest():
            return worker.rest(by_stopping=request.by_stopping)
        case protocol.Energy():
            return worker.energy(request.least_seconds, request.max_seconds)
        case protocol.Finish():
            return worker.finish()
        case protocol.PeakMemory():
            return worker.peak_memory(images)
        case protocol.Trace():
            return worker.trace(request.path)
        case protocol.AnswerFiles():
            return worker.answer_files(request.contents)
        case protocol.HoldFiles() | protocol.TimePipeline():
            return worker.pipeline(request)
        case protocol.CompareTensors():
            return worker.compare_tensors(images, request.exports)
        case _:
            assert_never(request)


def _reason(error: Exception) -> str:
    if os_errors.is_out_of_memory(error):
        error.add_note("smaller benchmark.batch_sizes take less")
    return os_errors.explain(error) or describe(error)


def main(argv: list[str]) -> None:
    name, folder, device, threads, descriptor, priority = argv
    # The output of a runtime must not mix with the standard output of this project.
    os.dup2(sys.stderr.fileno(), sys.stdout.fileno())
    connection = Connection(int(descriptor))
    lifetime.begin(connection.fileno(), high_priority=priority == "high")
    serve(connection, Worker(name, Path(folder), device, int(threads)))


if __name__ == "__main__":
    main(sys.argv[1:])
