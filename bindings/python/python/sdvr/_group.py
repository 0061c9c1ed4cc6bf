"""Many cameras at once, with what needs no speed."""

from __future__ import annotations

from types import TracebackType
from typing import TYPE_CHECKING

from . import _native

if TYPE_CHECKING:
    from typing_extensions import Self


class Group(_native.Group):
    """Frames of many cameras, by :func:`sdvr.group`: all by ``for``, or those of one moment by :meth:`sync`.

    Frames of H.264 and its kin have no pixels here, since each needs those before it: ``frame.raw`` has their bytes.
    """

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        self.close()
