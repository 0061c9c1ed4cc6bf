"""What can go wrong, as exceptions. The native part raises them."""


class Error(Exception):
    """What this package raises. Its text says what happened and what to do."""


class NotFound(Error):
    """No camera of that name is there. ``sdvr.open(..., wait=True)`` waits for it instead."""


class Ambiguous(Error):
    """Several other users publish a camera of that name, and this user's own daemon has none."""


class Forbidden(Error):
    """The camera is there, and this user may not read it."""


class Ended(Error):
    """The camera said that it ends. Only with ``until_end=True``; the next call waits for it to come back."""


class TimedOut(Error, TimeoutError):
    """No frame came within the time that an iteration waits."""


class Undecodable(Error):
    """A frame gave no picture. The frames after it may."""

    def __init__(self, message: str, camera: str, frame: int) -> None:
        super().__init__(message)
        #: The camera's label.
        self.camera = camera
        #: The frame's number.
        self.frame = frame

    def __reduce__(self) -> tuple[type, tuple[str, str, int]]:
        return (type(self), (str(self), self.camera, self.frame))


class Overwritten(Error):
    """A frame that was not copied (``copy=False``) was looked at too late: others lie there now, and nothing of them was shown."""


class Closed(Error):
    """The camera was closed by this program."""


class PublishError(Error):
    """A stream or a frame cannot be published: the label is taken, there is no room, or the directory cannot be used."""


# A traceback names the exceptions as programs do.
for _error in (Error, NotFound, Ambiguous, Forbidden, Ended, TimedOut, Undecodable, Overwritten, Closed, PublishError):
    _error.__module__ = "sdvr"
