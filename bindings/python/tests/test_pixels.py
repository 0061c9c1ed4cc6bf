"""Pixels, against what OpenCV makes of the same bytes."""

from __future__ import annotations

import itertools
import shutil
import subprocess
from pathlib import Path

import cv2
import numpy as np
import pytest
import sdvr
from conftest import PATIENCE_SECONDS, System, open_camera, write_y4m


# Rounding differs from one library to another by so much.
ROUNDING = 3


@pytest.mark.parametrize("size", [(64, 48), (322, 242)])
def test_nv12_and_yuyv_are_the_colours_they_say(system: System, size: tuple[int, int]) -> None:
    width, height = size
    system.start_camera("planar", f"test:?size={width}x{height}&fps=50&format=NV12")
    system.start_camera("packed", f"test:?size={width}x{height}&fps=50&format=YUYV")
    planar, packed = next(open_camera("planar")), next(open_camera("packed"))
    expected = cv2.cvtColor(planar.raw.reshape(height * 3 // 2, width), cv2.COLOR_YUV2BGR_NV12)
    # OpenCV repeats colour samples; a decoder may interpolate them, so that edges differ.
    assert np.percentile(np.abs(planar.bgr.astype(int) - expected.astype(int)), 95) <= ROUNDING
    expected = cv2.cvtColor(packed.raw.reshape(height, width, 2), cv2.COLOR_YUV2BGR_YUYV)
    assert np.percentile(np.abs(packed.bgr.astype(int) - expected.astype(int)), 95) <= ROUNDING
    for frame in (planar, packed):
        assert np.array_equal(frame.rgb, frame.bgr[..., ::-1])
        assert np.array_equal(frame.rgba[..., :3], frame.rgb)
        assert frame.gray.shape == (height, width)
    y, uv = planar.planes
    assert y.shape == (height, width) and uv.shape == (height // 2, width)
    assert np.array_equal(np.concatenate([y.ravel(), uv.ravel()]), planar.raw)


def test_jpeg_is_what_opencv_decodes(system: System) -> None:
    system.start_camera("door", "test:?size=322x242&fps=50&format=MJPG")
    frame = next(open_camera("door"))
    expected = cv2.imdecode(frame.raw, cv2.IMREAD_COLOR)
    assert np.abs(frame.bgr.astype(int) - expected.astype(int)).mean() <= ROUNDING
    assert frame.gray.shape == (242, 322)


def make_clip(path: Path, *options: str) -> None:
    """Writes a second of ffmpeg's own test picture."""
    source = ["-f", "lavfi", "-i", "testsrc2=size=321x243:rate=25:duration=1"]
    subprocess.run(["ffmpeg", "-v", "error", "-y", *source, *options, str(path)], check=True)


needs_ffmpeg = pytest.mark.skipif(shutil.which("ffmpeg") is None, reason="ffmpeg makes the clip")


def test_odd_sizes_are_whole(system: System) -> None:
    clip = system.home / "odd.y4m"
    pictures = write_y4m(clip, 321, 243, 3)
    camera = open_camera("door", "every")
    system.start_camera("door", str(clip))
    for picture, frame in zip(pictures, camera):
        assert (frame.width, frame.height) == (321, 243)
        assert frame.bgr.shape == (243, 321, 3) and frame.gray.shape == (243, 321)
        assert [plane.shape for plane in frame.planes] == [(243, 321), (122, 161), (122, 161)]
        assert b"".join(plane.tobytes() for plane in frame.planes) == picture


@needs_ffmpeg
@pytest.mark.parametrize("pixels", ["bgr", "rgb", "gray"])
def test_h264_is_decoded_with_the_frames_before(system: System, pixels: str) -> None:
    clip = system.home / "clip.h264"
    make_clip(clip, "-vf", "crop=320:240", "-pix_fmt", "yuv420p", "-c:v", "libx264", "-g", "10", "-bf", "0", "-f", "h264")
    camera = open_camera("door", "every", pixels=pixels)
    system.start_camera("door", str(clip))
    frames = list(itertools.islice(camera, 20))
    reference = cv2.VideoCapture(str(clip))
    for frame in frames:
        assert frame.format == "H264"
        is_there, expected = reference.read()
        assert is_there
        shown = getattr(frame, pixels)
        if pixels == "gray":
            # Of brightness that video has; OpenCV's is made of its colours.
            expected = cv2.cvtColor(expected, cv2.COLOR_BGR2GRAY)
        elif pixels == "rgb":
            expected = expected[..., ::-1]
            assert np.array_equal(frame.bgr, shown[..., ::-1]), "one becomes the other"
        assert np.abs(shown.astype(int) - expected.astype(int)).mean() <= 6
    assert [frame.missed for frame in frames] == [0] * 20
    if pixels == "gray":
        with pytest.raises(sdvr.Error, match='pixels="bgr"'):
            frames[0].bgr


@needs_ffmpeg
def test_damaged_frames_raise_and_the_next_are_good(system: System) -> None:
    clip = system.home / "damaged.mjpeg"
    make_clip(clip, "-c:v", "mjpeg", "-q:v", "3", "-f", "mjpeg")
    images = clip.read_bytes().split(b"\xff\xd8\xff")[1:]
    assert len(images) == 25
    # Of the fourth image the most part is gone, though it ends as it should.
    images[3] = images[3][: len(images[3]) // 3] + b"\xff\xd9"
    clip.write_bytes(b"".join(b"\xff\xd8\xff" + image for image in images))
    camera = open_camera("door", "every")
    system.start_camera("door", str(clip))
    outcomes = []
    for frame in itertools.islice(camera, 8):
        try:
            outcomes.append(frame.bgr.shape)
        except sdvr.Undecodable as error:
            assert (error.camera, error.frame) == ("door", frame.number)
            outcomes.append(None)
    assert [number for number, shape in enumerate(outcomes) if shape is None] == [3]


def h264_frames(path: Path, count: int) -> list[bytes]:
    """Frames of H.264, every tenth a key frame, each with the delimiter that it begins with."""
    make_clip(path, "-vf", "crop=320:240", "-pix_fmt", "yuv420p", "-c:v", "libx264", "-x264-params", "keyint=10:bframes=0:aud=1:scenecut=0", "-f", "h264")
    delimiter = b"\x00\x00\x00\x01\x09"
    frames = [delimiter + frame for frame in path.read_bytes().split(delimiter)[1:]]
    assert len(frames) == 25
    return frames[:count]


@needs_ffmpeg
@pytest.mark.parametrize("on_damage", ["skip", "raise"])
def test_behind_a_damaged_frame_of_h264_it_goes_on_at_the_next_key_frame(system: System, on_damage: str) -> None:
    frames = h264_frames(system.home / "clip.h264", 15)
    frames[4] = b"\x00\x00\x00\x01\x41" + b"\xff" * 5
    with sdvr.Publisher("film", 320, 240, "H264", rate=25) as publisher:
        camera = sdvr.open("film", "every", start="oldest", on_damage=on_damage, timeout=PATIENCE_SECONDS)
        for number, frame in enumerate(frames):
            publisher.publish(frame, is_key=number % 10 == 0)
        shown: list[int] = []
        raised: list[int] = []
        missed = 0
        while not shown or shown[-1] < 14:
            try:
                frame = next(camera)
            except sdvr.Undecodable as error:
                raised.append(error.frame)
            else:
                shown.append(frame.number)
                missed += frame.missed
        assert shown[:4] == [0, 1, 2, 3] and shown[-5:] == [10, 11, 12, 13, 14]
        # Each is shown, missed, or told as damaged.
        assert missed + camera.damaged + len(raised) == 15 - len(shown)
        assert (raised != []) == (on_damage == "raise")
        assert (camera.damaged > 0) == (on_damage == "skip")
        assert set(raised) <= set(range(4, 10))
