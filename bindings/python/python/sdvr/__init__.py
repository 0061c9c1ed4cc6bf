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
    PublishError,
    TimedOut,
    Undecodable,
)
from ._group import Group
from ._native import CameraInfo, Frame, cameras
from ._publisher import Publisher

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
    "Group",
    "NotFound",
    "Overwritten",
    "PublishError",
    "Publisher",
    "TimedOut",
    "Undecodable",
    "cameras",
    "for_each_camera",
    "group",
    "open",
    "watch",
]

open = Camera
group = Group
