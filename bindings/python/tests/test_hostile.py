"""Files of rings that lie: an error that says what is wrong, and the interpreter lives."""

from __future__ import annotations

import os
import shutil
import struct
import tempfile
from pathlib import Path
from typing import Iterator, Optional

import pytest
import sdvr

# Where things are in the file: crates/sdvr-ring/LAYOUT.md.
FOURCC, WIDTH, HEIGHT, EXTRADATA_BYTES, HEAD = 0x54, 0x58, 0x5C, 0x6C, 0x8C0
POSITION, LENGTH, NUMBER, CAPTURED = (0x1000 + word * 8 for word in (1, 2, 3, 5))
MOST = 2**64 - 1

Change = tuple[int, bytes]


@pytest.fixture
def rings(monkeypatch: pytest.MonkeyPatch) -> Iterator[Path]:
    """A directory of rings of its own, without a daemon."""
    shared = Path(tempfile.mkdtemp(prefix="sdvr-python-", dir="/dev/shm"))
    monkeypatch.setenv("SDVR_SHM_DIR", str(shared / "rings"))
    yield shared / "rings"
    shutil.rmtree(shared)


def word(value: int) -> bytes:
    return struct.pack("=Q", value)


def half(value: int) -> bytes:
    return struct.pack("=I", value)


def lie(rings: Path, *changes: Change) -> None:
    """Writes over the only ring of the directory."""
    [ring] = rings.glob("derived-*")
    ring.chmod(0o600)
    with ring.open("r+b") as file:
        for place, value in changes:
            os.pwrite(file.fileno(), value, place)


def everything(frame: sdvr.Frame) -> None:
    """Asks a frame for all that it has."""
    assert frame.raw.size <= 2**20
    for pixels in ("bgr", "rgb", "rgba", "gray"):
        assert getattr(frame, pixels).size <= 2**20
    assert sum(plane.size for plane in frame.planes) <= 2**20
    assert int(frame.raw.sum()) >= 0 and repr(frame)


LIES: list[tuple[str, list[Change], Optional[str]]] = [
    ("nothing", [], None),
    ("wide", [(WIDTH, half(2**32 - 1)), (HEIGHT, half(2**32 - 1))], "must have 1 to"),
    ("flat", [(WIDTH, half(0))], "must have 1 to"),
    ("tall", [(HEIGHT, half(3))], "12 bytes are no NV12 picture of 4x3"),
    ("short", [(LENGTH, half(1))], "1 bytes are no NV12 picture"),
    ("long", [(LENGTH, half(4096))], "4096 bytes are no NV12 picture"),
    ("empty", [(LENGTH, half(0))], "cannot be used"),
    ("endless", [(LENGTH, half(2**32 - 1))], "cannot be used"),
    ("outside", [(POSITION, word(MOST))], "cannot be used"),
    ("odd", [(POSITION, word(3))], "cannot be used"),
    ("unknown", [(FOURCC, b"\x1b[\xff\x00")], "cannot be decoded"),
    ("damaged", [(FOURCC, b"MJPG")], "damaged"),
    ("extradata", [(EXTRADATA_BYTES, b"\xff\xff")], None),
    ("number", [(NUMBER, word(MOST))], None),
    ("past", [(CAPTURED, word(2**63))], None),
    ("future", [(CAPTURED, word(2**63 - 1))], None),
    ("head", [(HEAD, word(MOST))], None),
]


@pytest.mark.parametrize("pixels", [None, "bgr", "gray", "planes"])
@pytest.mark.parametrize("changes,says", [pytest.param(changes, says, id=name) for name, changes, says in LIES])
def test_a_ring_that_lies_raises(rings: Path, changes: list[Change], says: Optional[str], pixels: Optional[str]) -> None:
    with sdvr.Publisher("liar", 4, 2, "NV12") as publisher:
        publisher.publish(bytes(range(12)))
        lie(rings, *changes)
        told = []
        try:
            with sdvr.open("liar", "every", start="oldest", on_damage="raise", timeout=0.2, pixels=pixels) as camera:
                everything(next(camera))
        except sdvr.Error as error:
            told.append(str(error))
        assert says is None or told and says in told[0]
