"""Read the frames of every camera that an SDVR daemon on this host receives.

>>> import sdvr
>>> for frame in sdvr.open("front-door"):                # doctest: +SKIP
...     print(frame.number, frame.bgr.shape, frame.missed)
"""

from __future__ import annotations

from ._camera import Camera
from ._cameras import Change, for_each_camera, watch
from ._errors import (
    Ambiguous,
    Closed,
    Ended,
    Error,
    Forbidden,
    NotFound,
    Overwritten,
    TimedOut,
    Undecodable,
)
from ._native import CameraInfo, Frame, cameras

__all__ = [
    "Ambiguous",
    "Camera",
    "CameraInfo",
    "Change",
    "Closed",
    "Ended",
    "Error",
    "Forbidden",
    "Frame",
    "NotFound",
    "Overwritten",
    "TimedOut",
    "Undecodable",
    "cameras",
    "for_each_camera",
    "open",
    "watch",
]

open = Camera
