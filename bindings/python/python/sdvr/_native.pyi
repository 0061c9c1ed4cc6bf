"""The part of the package that is written in Rust."""

import os
from collections.abc import Sequence
from pathlib import Path
from typing import Literal, Optional, final

import numpy as np
from numpy.typing import NDArray
from typing_extensions import Self, disjoint_base

__all__ = ["Camera", "CameraInfo", "Frame", "Group", "Publisher", "Watch", "_Memory", "cameras"]

_Policy = Literal["latest", "every", "keyframes"]
_Pixels = Literal["bgr", "rgb", "rgba", "gray", "planes"]

@final
class _Memory:
    @property
    def __array_interface__(self) -> dict[str, object]: ...

@final
class Frame:
    """One frame of a camera.

    The arrays of pixels are made when they are first asked for, outside of Python's lock, and kept. They belong to the program, which may write to
    them; no frame that comes later changes them. Each raises :class:`sdvr.Undecodable` if the frame gives no picture.
    """

    @property
    def bgr(self) -> NDArray[np.uint8]:
        """Height x width x 3: blue, green, red, as OpenCV has them."""
    @property
    def rgb(self) -> NDArray[np.uint8]:
        """Height x width x 3: red, green, blue."""
    @property
    def rgba(self) -> NDArray[np.uint8]:
        """Height x width x 4: red, green, blue and 255."""
    @property
    def gray(self) -> NDArray[np.uint8]:
        """Height x width: brightness from 0 to 255."""
    @property
    def planes(self) -> list[NDArray[np.uint8]]:
        """The planes as the camera or the decoder has them, each as rows x bytes."""
    @property
    def raw(self) -> NDArray[np.uint8]:
        """The bytes as they were published, without a copy; read-only. Raises :class:`sdvr.Overwritten` if the camera was opened with
        ``copy=False`` and they are there no more."""
    @property
    def label(self) -> str:
        """The camera's label."""
    @property
    def number(self) -> int:
        """The number its source gave it: one more for every frame captured."""
    @property
    def missed(self) -> int:
        """How many frames of the same run were captured between the one handed out before and this one: lost or skipped. Of H.264 and its kin, damaged ones are in `Camera.damaged`."""
    @property
    def missed_between_runs(self) -> int:
        """For the first frame of a run of the source: how many frames of the runs before were not handed out."""
    @property
    def is_key(self) -> bool:
        """Whether decoding can begin here."""
    @property
    def format(self) -> str:
        """What the raw bytes are, such as "NV12", "MJPG" or "H264"."""
    @property
    def width(self) -> int:
        """Pixels across, as the camera says."""
    @property
    def height(self) -> int:
        """Pixels down, as the camera says."""
    @property
    def instance(self) -> str:
        """Which run of the source it is from; numbers of different runs do not belong together."""
    @property
    def time(self) -> float:
        """When it was captured, in seconds since 1970, by this host's clock as it was set when the frame was handed out."""
    @property
    def captured_ns(self) -> int:
        """When it was captured, in nanoseconds of this host's CLOCK_BOOTTIME: ``time.clock_gettime_ns(time.CLOCK_BOOTTIME)``."""
    @property
    def received_ns(self) -> int:
        """When its last byte had arrived at the daemon, on the same clock."""
    @property
    def published_ns(self) -> int:
        """When programs could read it, on the same clock."""
    @property
    def age(self) -> float:
        """How many seconds ago it was captured."""
    @property
    def clock_error(self) -> Optional[float]:
        """By how many seconds the time of capture may be wrong; ``None`` while the camera's clock is not known."""

@disjoint_base
class Camera:
    """Base of :class:`sdvr.Camera`."""

    def __new__(
        cls,
        camera: str,
        policy: _Policy = "latest",
        *,
        start: Literal["now", "oldest"] = "now",
        directory: str | os.PathLike[str] | None = None,
        wait: bool = False,
        pixels: Optional[_Pixels] = "bgr",
        copy: bool = True,
        until_end: bool = False,
        on_damage: Literal["skip", "raise"] = "skip",
        timeout: Optional[float] = None,
    ) -> Self: ...
    def next(self, timeout: Optional[float] = None) -> Optional[Frame]:
        """The next frame that the policy wants; ``None`` when none came within ``timeout`` seconds (default: waits for ever).

        Other threads run meanwhile, and Ctrl-C ends it. Raises :class:`sdvr.Ended` with ``until_end=True``, and
        :class:`sdvr.Undecodable` with ``on_damage="raise"``.
        """
    def __iter__(self) -> Self: ...
    def __next__(self) -> Frame: ...
    def fileno(self) -> int:
        """A descriptor that is readable while :meth:`next` has something to give or to look at, for ``select`` and event loops."""
    def close(self) -> None:
        """Lets the camera go. Frames that were copied stay good; who waits for one, or asks again, gets :class:`sdvr.Closed`."""
    @property
    def label(self) -> str:
        """The label, or what it was opened by while it is not there."""
    @property
    def state(self) -> str:
        """How it is doing: "live", "stale", "lost", …"""
    @property
    def format(self) -> Optional[str]:
        """What its frames are; ``None`` while it is not there."""
    @property
    def width(self) -> Optional[int]:
        """Pixels across; ``None`` while it is not there."""
    @property
    def height(self) -> Optional[int]:
        """Pixels down; ``None`` while it is not there."""
    @property
    def missed_at_end(self) -> int:
        """Frames of runs that have ended of which no frame has told yet."""
    @property
    def damaged(self) -> int:
        """How many frames were passed over because they gave no picture."""

@final
class CameraInfo:
    """A camera that is there, as it was when somebody looked."""

    @property
    def label(self) -> str: ...
    @property
    def directory(self) -> Path: ...
    @property
    def fingerprint(self) -> Optional[str]: ...
    @property
    def stream(self) -> int: ...
    @property
    def instance(self) -> str: ...
    @property
    def format(self) -> str: ...
    @property
    def width(self) -> int: ...
    @property
    def height(self) -> int: ...
    @property
    def state(self) -> str: ...
    @property
    def link(self) -> Optional[str]: ...
    @property
    def frames_per_second(self) -> float: ...
    @property
    def frames(self) -> int: ...
    @property
    def lost(self) -> int: ...
    @property
    def bytes(self) -> int: ...
    @property
    def last_frame_ns(self) -> Optional[int]: ...
    def __eq__(self, other: object, /) -> bool: ...
    def __ne__(self, other: object, /) -> bool: ...

def cameras(*, directory: str | os.PathLike[str] | None = None) -> list[CameraInfo]:
    """The cameras that are there now, sorted by label."""

@final
class Watch:
    def __new__(cls, *, directory: str | os.PathLike[str] | None = None) -> Self: ...
    def wait(
        self, timeout: Optional[float] = None
    ) -> list[tuple[Literal["came", "went"], CameraInfo]]:
        """Pairs of "came" or "went" and the camera; none when nothing changed in ``timeout`` seconds."""

@disjoint_base
class Group:
    """Base of :class:`sdvr.Group`."""

    def __new__(
        cls,
        cameras: Sequence[str],
        policy: _Policy = "latest",
        *,
        directory: str | os.PathLike[str] | None = None,
        wait: bool = False,
    ) -> Self: ...
    def next(self, timeout: Optional[float] = None) -> Optional[Frame]:
        """The next frame of any of the cameras, :attr:`Frame.label` says of which; ``None`` when none came within ``timeout`` seconds."""
    def __iter__(self) -> Self: ...
    def __next__(self) -> Frame: ...
    def sync(self, tolerance: float, timeout: Optional[float] = None) -> Optional[dict[str, Frame]]:
        """Frames whose times of capture lie within ``tolerance`` seconds of each other, by the names that the cameras were opened by; ``None`` when there
        were none within ``timeout`` seconds. A camera that is not live is left out and delays nobody."""
    def close(self) -> None:
        """Lets the cameras go."""

@disjoint_base
class Publisher:
    """Base of :class:`sdvr.Publisher`."""

    def __new__(
        cls,
        label: str,
        width: int = 0,
        height: int = 0,
        format: str = "BGR3",
        *,
        rate: float = 0.0,
        source: Optional[str] = None,
        frames: Optional[int] = None,
        directory: str | os.PathLike[str] | None = None,
    ) -> Self: ...
    def publish(
        self,
        data: NDArray[np.uint8] | bytes | bytearray | memoryview,
        source: Optional[Frame] = None,
        *,
        captured_ns: Optional[int] = None,
        is_key: Optional[bool] = None,
    ) -> int:
        """Publishes a frame, and gives its number. With ``source`` it has that frame's time and number; else it was captured now, or when ``captured_ns`` says.
        Of a source with B-frames, whose pictures come in another order than their numbers, it is the next number where that frame's is not greater.

        Decoding can begin at every frame but those of H.264 and its kin; there ``is_key`` says at which.
        """
    def close(self) -> None:
        """Ends the stream; returns when its readers have taken what is left, after two seconds at most."""
    @property
    def label(self) -> str:
        """What it is called."""
