"""A camera, with what needs no speed: ``with`` and ``async for``."""

from __future__ import annotations

import asyncio
from concurrent.futures import ThreadPoolExecutor
from types import TracebackType
from typing import TYPE_CHECKING, Any

from . import _native
from ._errors import Ended, TimedOut
from ._native import Frame

if TYPE_CHECKING:
    from typing_extensions import Self

# A task that is cancelled leaves its thread waiting; for no longer than this, so that a program can end.
_SLICE_SECONDS = 0.2


class Camera(_native.Camera):
    """A camera's frames, by :func:`sdvr.open`.

    ``for`` gives frames for ever, through the camera's ends and returns; so does ``async for``. ``with`` closes it.
    """

    _coming: asyncio.Future[Frame | None] | None = None
    _executor: ThreadPoolExecutor | None = None
    _timeout: float | None = None

    def __init__(self, *_arguments: Any, timeout: float | None = None, **_options: Any) -> None:
        self._timeout = timeout

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        self.close()

    def close(self) -> None:
        """Lets the camera go. Frames that were copied stay good; who waits for one, or asks again, gets :class:`sdvr.Closed`."""
        super().close()
        if self._executor is not None:
            self._executor.shutdown(wait=False)

    def __aiter__(self) -> Self:
        return self

    async def __anext__(self) -> Frame:
        """The next frame. A task that is cancelled while it waits loses none: what comes meanwhile is given by the next call."""
        loop = asyncio.get_running_loop()
        begin = loop.time()
        while True:
            if self._coming is None:
                if self._executor is None:
                    self._executor = ThreadPoolExecutor(1, "sdvr")
                self._coming = loop.run_in_executor(self._executor, self.next, _SLICE_SECONDS)
            coming = self._coming
            try:
                frame = await asyncio.shield(coming)
            except Ended:
                raise StopAsyncIteration from None
            finally:
                if coming.done():
                    self._coming = None
            if frame is not None:
                return frame
            if self._timeout is not None and loop.time() - begin >= self._timeout:
                raise TimedOut(f"no frame of {self.label!r} came within {self._timeout} s")
