"""Many cameras: which come and go, and a thread for each."""

from __future__ import annotations

import os
import threading
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from typing import Any, Literal

from ._camera import Camera
from ._errors import NotFound
from ._native import CameraInfo, Watch


@dataclass(frozen=True)
class Change:
    """A camera came or went."""

    #: "came" when it is there now, for the first time or again; "went" when it is not there any more.
    kind: Literal["came", "went"]
    #: The camera, as it is now.
    camera: CameraInfo


def watch(*, directory: str | os.PathLike[str] | None = None, timeout: float | None = None) -> Iterator[Change]:
    """Tells of every camera that is there, then of each that comes or goes: for ever, or until nothing has changed for ``timeout`` seconds."""
    native = Watch(directory=directory)
    while changes := native.wait(timeout):
        for kind, camera in changes:
            yield Change(kind, camera)


def for_each_camera(
    run: Callable[[Camera], object],
    *,
    directory: str | os.PathLike[str] | None = None,
    timeout: float | None = None,
    **options: Any,
) -> None:
    """Calls ``run`` with every camera that is there or comes, opened with ``options``, each in a thread of its own.

    Goes on for ever, or until no camera has come or gone for ``timeout`` seconds. A camera that goes and comes back is the same to its thread, as long as ``run``
    has not returned; after that it is run again. The threads end with the program.
    """
    threads: dict[tuple[str, str], threading.Thread] = {}
    for change in watch(directory=directory, timeout=timeout):
        camera = change.camera
        # A stream that a program made is left out: ``run`` may be what makes it.
        if change.kind != "came" or camera.stream != 0 or camera.fingerprint is None:
            continue
        key = (os.fspath(camera.directory), camera.fingerprint)
        if key in threads and threads[key].is_alive():
            continue
        try:
            opened = Camera(camera.fingerprint, directory=camera.directory, **options)
        except NotFound:
            # It has gone again already, which is told next.
            continue
        threads[key] = threading.Thread(target=run, args=(opened,), name=f"sdvr {camera.label}", daemon=True)
        threads[key].start()
