"""Images that come at the same time, answered in one call of the model."""

from __future__ import annotations

import asyncio
import logging
from collections.abc import Callable, Sequence
from concurrent.futures import ThreadPoolExecutor
from typing import Any, NamedTuple

from settings import Settings

LOG = logging.getLogger("service")
ENDED = "the service has ended"


class Waiting(NamedTuple):
    """An image that waits for its answer."""

    image: Any  # prepared
    answer: asyncio.Future[Any]
    arrived: float  # by the loop's clock


class Batcher:
    """Collects images for a moment, and asks a model for all of them at once.

    A batch leaves when it is full, or when its oldest image has waited for the window, as in the
    measurement of ``src.serve_test``.

    Args:
        models: one a stream; each answers one batch at a time.
        settings: the window and the largest batch.
        observe: gets the size of every batch.
    """

    def __init__(
        self,
        models: Sequence[Any],
        settings: Settings,
        observe: Callable[[int], object] | None = None,
    ) -> None:
        self._models = models
        self._settings = settings
        self._observe = observe
        self._queue: asyncio.Queue[Waiting] = asyncio.Queue()
        self._collecting = asyncio.Lock()  # so that two streams do not share out one batch
        self._threads = ThreadPoolExecutor(len(models), "model")
        self._in_hand: set[asyncio.Future[Any]] = set()
        self._has_ended = False

    @property
    def depth(self) -> int:
        """Number of images that no stream has taken yet."""
        return self._queue.qsize()

    async def classify(self, image: Any) -> Any:
        """Return the probabilities, (K,), of a prepared image.

        Raises:
            Exception: what the model raised for this image alone, or that the batches have ended.
        """
        if self._has_ended:
            raise RuntimeError(ENDED)
        loop = asyncio.get_running_loop()
        waiting = Waiting(image, loop.create_future(), loop.time())
        self._in_hand.add(waiting.answer)
        self._queue.put_nowait(waiting)
        try:
            return await waiting.answer
        finally:
            self._in_hand.discard(waiting.answer)

    async def run(self) -> None:
        """Answer for as long as the service lives."""
        try:
            async with asyncio.TaskGroup() as streams:
                for model in self._models:
                    streams.create_task(self._stream(model))
        finally:
            self._has_ended = True
            for answer in self._in_hand:  # nobody else would end their waiting
                if not answer.done():
                    answer.set_exception(RuntimeError(ENDED))
            self._threads.shutdown(wait=False, cancel_futures=True)

    async def _stream(self, model: Any) -> None:
        while True:
            async with self._collecting:
                batch = await self._collect()
            if self._observe is not None:
                self._observe(len(batch))
            await self._answer(model, batch)

    async def _answer(self, model: Any, batch: Sequence[Waiting]) -> None:
        loop = asyncio.get_running_loop()
        images = [waiting.image for waiting in batch]
        try:
            answers = await loop.run_in_executor(self._threads, _answers_of, model, images)
        except Exception as error:
            if len(batch) > 1:  # one image fails alone: the others get their answers
                for waiting in batch:
                    await self._answer(model, [waiting])
            elif not batch[0].answer.done():
                batch[0].answer.set_exception(error)
            return
        for waiting, answer in zip(batch, answers, strict=True):
            if not waiting.answer.done():  # the client may have gone
                waiting.answer.set_result(answer)

    async def _collect(self) -> list[Waiting]:
        batch = [await self._queue.get()]
        closes = batch[0].arrived + self._settings.window
        while len(batch) < self._settings.largest_batch:
            try:
                batch.append(self._queue.get_nowait())
                continue
            except asyncio.QueueEmpty:
                pass
            try:
                async with asyncio.timeout_at(closes):
                    batch.append(await self._queue.get())
            except TimeoutError:
                break
        return batch


def _answers_of(model: Any, images: Sequence[Any]) -> Sequence[Any]:
    """Return one answer for each image."""
    answers: Sequence[Any] = model.answer(images)
    if len(answers) != len(images):
        raise ValueError(f"{len(answers)} answers to {len(images)} images")
    return answers
