"""The examples, run as a user runs them."""

from __future__ import annotations

import importlib.util
import itertools
import os
import re
import subprocess
from pathlib import Path

import cv2
import numpy as np
import pytest
import sdvr
from conftest import PATIENCE_SECONDS, System, open_camera, wait_until

EXAMPLES = Path(__file__).parents[3] / "examples" / "python"


def run(system: System, name: str, *arguments: str) -> list[str]:
    program = system.python(str(EXAMPLES / name), *arguments)
    output, errors = program.communicate(timeout=4 * PATIENCE_SECONDS)
    assert program.returncode == 0, errors
    return output.splitlines()


def test_print_frames(system: System) -> None:
    system.start_camera("door", "test:?size=64x48&fps=50&format=GREY")
    lines = run(system, "print_frames.py", "door", "--count", "3")
    assert len(lines) == 3
    for line in lines:
        assert re.fullmatch(r"frame \d+: GREY 64x48, 3072 bytes, \d+ missed, \d+\.\d ms old", line), line


@pytest.mark.parametrize("name", ["door-{}.png", "door-{}.ppm"])
def test_save_picture(system: System, name: str) -> None:
    system.start_camera("door", "test:?size=64x48&fps=50&format=NV12")
    camera = open_camera("door", "every")
    next(camera)
    [line] = run(system, "save_picture.py", "door", str(system.home / name))
    match = re.fullmatch(r"frame (\d+): (.*)", line)
    assert match is not None, line
    saved = cv2.imread(match[2])
    assert saved.shape == (48, 64, 3)
    frame = next(frame for frame in camera if frame.number == int(match[1]))
    assert np.array_equal(saved, frame.bgr), "what is saved is what the frame shows"


def test_publish_derived(system: System) -> None:
    system.start_camera("door", "test:?size=64x48&fps=50&format=YUYV")
    camera = open_camera("door", "every")
    next(camera)
    program = system.python(str(EXAMPLES / "publish_derived.py"), "door", "--count", "100", stdout=subprocess.DEVNULL)
    derived = open_camera("door/gray")
    sources: dict[int, sdvr.Frame] = {}
    for frame in itertools.islice(derived, 10):
        assert (frame.label, frame.format, frame.gray.shape) == ("door/gray", "GREY", (48, 64))
        while frame.number not in sources:
            source = next(camera)
            sources[source.number] = source
        assert np.array_equal(frame.gray, sources[frame.number].gray)
        assert frame.captured_ns == sources[frame.number].captured_ns
    program.wait(4 * PATIENCE_SECONDS)
    assert program.returncode == 0


FOOTAGE = os.environ.get("SDVR_FOOTAGE", "")


@pytest.mark.skipif(not FOOTAGE, reason="SDVR_FOOTAGE names the clip of pedestrians, which `cargo xtask test` fetches")
def test_detect_motion_finds_what_it_finds_in_the_file(system: System) -> None:
    count = 40
    clip = system.home / "pedestrians.y4m"
    convert = ["ffmpeg", "-v", "error", "-i", FOOTAGE, "-frames:v", str(count), "-pix_fmt", "yuv420p", str(clip)]
    subprocess.run(convert, check=True)
    pictures = [picture for picture in clip.read_bytes().split(b"FRAME\n")[1:]]
    assert len(pictures) == count, "the picture has no such bytes"

    program = system.python(str(EXAMPLES / "detect_motion.py"), "street", "--count", str(count))
    # It learns from the first picture on, so it must be there before.
    camera = open_camera("street", "every", until_end=True)
    wait_until(lambda: is_waiting(program.pid), "the example waits for the camera")
    # So fast that a busy machine keeps up with it.
    system.start_camera("street", str(clip), "-r", "10")
    frames = {frame.number: frame for frame in camera}
    output, errors = program.communicate(timeout=4 * PATIENCE_SECONDS)
    assert program.returncode == 0, errors

    specification = importlib.util.spec_from_file_location("detect_motion", EXAMPLES / "detect_motion.py")
    assert specification is not None and specification.loader is not None
    example = importlib.util.module_from_spec(specification)
    specification.loader.exec_module(example)
    motion = example.Motion()
    lines = output.splitlines()
    assert len(lines) > count // 2
    moving = 0
    for line in lines:
        number = int(line.split(":")[0].removeprefix("frame "))
        frame = frames[number]
        assert frame.raw.tobytes().startswith(pictures[number]), "the file's pixels"
        boxes = [f"{x},{y} {w}x{h}" for x, y, w, h in motion.boxes(frame.bgr)]
        assert line == f"frame {number}: {' '.join(boxes)}".rstrip()
        moving += len(boxes)
    assert moving > len(lines) // 2, "pedestrians move"


def is_waiting(process: int) -> bool:
    """Whether a program watches the directory of rings, or waits for it to come."""
    descriptors = Path(f"/proc/{process}/fd")
    return any("inotify" in os.readlink(descriptor) for descriptor in descriptors.iterdir() if descriptor.is_symlink())
