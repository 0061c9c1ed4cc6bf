"""A camera, with what needs no speed: ``with`` and ``async for``."""

from __future__ import annotations

import asyncio
import inspect
from types import TracebackType
from typing import TYPE_CHECKING, Any

from . import _native
from ._errors import Ended, TimedOut
from ._native import Frame

if TYPE_CHECKING:
    from typing_extensions import Self


class Camera(_native.Camera):
    """A camera's frames, by :func:`sdvr.open`.

    ``for`` gives frames for ever, through the camera's ends and returns; so does ``async for``. ``with`` closes it.

    :param camera: A label, a fingerprint, the name of a ring's file, or the label of a stream that a program makes.
    :param policy: "latest", the newest frame; "every", all in order; "keyframes", the newest at which decoding can begin.
    :param start: "now", or "oldest", which begins with the oldest frame that is still there.
    :param directory: A directory of rings that is not one of the usual ones.
    :param wait: Waits for a camera that is not there yet, instead of raising :class:`sdvr.NotFound`.
    :param pixels: What H.264 and its kin are decoded to: "bgr", "rgb", "rgba", "gray", "planes", or ``None``.
    :param copy: ``False`` leaves frames where they are until they are looked at.
    :param until_end: The loop ends when the camera says that it ends.
    :param on_damage: "skip", or "raise", for damaged frames of H.264 and its kin.
    :param timeout: The loop raises :class:`sdvr.TimedOut` when no frame comes for so many seconds.
    """

    # For `help`: what this class passes on is said by the one below.
    __signature__ = inspect.signature(_native.Camera)
    _timeout: float | None = None
    _is_awaited = False

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

    def __aiter__(self) -> Self:
        return self

    async def __anext__(self) -> Frame:
        """The next frame. A task that is cancelled while it waits loses none: what comes meanwhile is given by the next call."""
        if self._is_awaited:
            raise RuntimeError(f"another task waits for a frame of {self!r}; open the camera once for each")
        self._is_awaited = True
        try:
            # Frames may be there already, for ever: other tasks have their turn between two of them.
            await asyncio.sleep(0)
            return await self._next_when_readable()
        except Ended:
            raise StopAsyncIteration from None
        finally:
            self._is_awaited = False

    async def _next_when_readable(self) -> Frame:
        loop = asyncio.get_running_loop()
        deadline = None if self._timeout is None else loop.time() + self._timeout
        descriptor = self.fileno()
        while True:
            frame = self.next(0)
            if frame is not None:
                return frame
            if deadline is not None and loop.time() >= deadline:
                raise TimedOut(f"no frame of {self!r} came within {self._timeout} s")
            is_due = loop.create_future()
            timer = None if deadline is None else loop.call_at(deadline, _tell, is_due)
            loop.add_reader(descriptor, _tell, is_due)
            try:
                await is_due
            finally:
                loop.remove_reader(descriptor)
                if timer is not None:
                    timer.cancel()


def _tell(is_due: asyncio.Future[None]) -> None:
    if not is_due.done():
        is_due.set_result(None)
