"""Publishing, with what needs no speed."""

from __future__ import annotations

import json
from types import TracebackType
from typing import TYPE_CHECKING, Any

from . import _native
from ._native import Frame

if TYPE_CHECKING:
    from typing_extensions import Self


class Publisher(_native.Publisher):
    """Publishes frames beside the cameras: other programs read them as they read a camera's.

    ``Publisher("door/gray", 640, 480, "GREY", source="door")`` publishes pictures; without a width and a height, and with a format such as "JSON", what
    belongs to moments. ``with`` ends it.
    """

    def publish_json(self, value: Any, source: Frame | None = None) -> int:
        """Publishes a value as JSON, and gives the frame's number."""
        return self.publish(json.dumps(value, separators=(",", ":")).encode(), source)

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        self.close()
