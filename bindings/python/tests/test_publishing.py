"""Streams that a program publishes, read as a camera's."""

from __future__ import annotations

import itertools
import json
import os

import numpy as np
import pytest
import sdvr
from conftest import PATIENCE_SECONDS, System, open_camera


def test_pictures_that_are_made_of_frames_have_their_times_and_numbers(system: System) -> None:
    system.start_camera("door", "test:?size=64x48&fps=50&format=YUYV")
    with sdvr.Publisher("door/dark", 64, 48, "BGR3", source="door") as publisher:
        assert publisher.label == "door/dark"
        sources = list(itertools.islice(open_camera("door", "every"), 5))
        for frame in sources:
            assert publisher.publish(frame.bgr // 2, frame) == frame.number
        made = sdvr.open("door/dark", "every", start="oldest", timeout=PATIENCE_SECONDS)
        for frame, source in zip(itertools.islice(made, 5), sources):
            assert (frame.number, frame.captured_ns) == (source.number, source.captured_ns)
            assert np.array_equal(frame.bgr, source.bgr // 2)
        [info] = [camera for camera in sdvr.cameras() if camera.label == "door/dark"]
        assert info.fingerprint is None


def test_arrays_that_are_not_in_one_piece_are_published_as_they_look(system: System) -> None:
    whole = np.random.default_rng(1).integers(0, 256, (48, 128, 3), dtype=np.uint8)
    with sdvr.Publisher("flipped", 64, 48, "RGB3") as publisher:
        part = whole[:, ::2, ::-1]
        publisher.publish(part)
        frame = next(sdvr.open("flipped", "every", start="oldest", timeout=PATIENCE_SECONDS))
        assert np.array_equal(frame.rgb, part)


def test_values_are_published_as_json(system: System) -> None:
    with sdvr.Publisher("door/people", format="JSON") as publisher:
        assert publisher.publish_json({"people": [1, 2]}) == 0
        assert publisher.publish(b"[]") == 1
        stream = sdvr.open("door/people", "every", start="oldest", timeout=PATIENCE_SECONDS)
        assert json.loads(next(stream).raw.tobytes()) == {"people": [1, 2]}
        assert next(stream).raw.tobytes() == b"[]"


def test_what_is_no_frame_is_refused(system: System) -> None:
    with sdvr.Publisher("gray", 64, 48, "GREY") as publisher:
        for wrong in (np.zeros((64, 48), np.uint8), np.zeros((48, 65), np.uint8), b"short"):
            with pytest.raises(ValueError, match="64x48"):
                publisher.publish(wrong)
        with pytest.raises(TypeError, match="uint8"):
            publisher.publish(np.zeros((48, 64)))  # type: ignore[arg-type]
        with pytest.raises(sdvr.PublishError, match="already"):
            sdvr.Publisher("gray", 64, 48, "GREY")
    with pytest.raises(sdvr.Closed):
        publisher.publish(np.zeros((48, 64), np.uint8))
    with pytest.raises(sdvr.PublishError):
        sdvr.Publisher("no label", 64, 48)
    with pytest.raises(ValueError, match="width"):
        sdvr.Publisher("flat")
    with pytest.raises(ValueError, match="format"):
        sdvr.Publisher("wrong", 64, 48, "MANYLETTERS")


def test_a_child_of_a_fork_ends_nothing(system: System) -> None:
    with sdvr.Publisher("gray", 2, 1, "GREY") as publisher:
        publisher.publish(b"ab")
        child = os.fork()
        if child == 0:
            publisher.close()
            os._exit(0)
        assert os.waitpid(child, 0) == (child, 0)
        camera = sdvr.open("gray", "every", start="oldest", timeout=PATIENCE_SECONDS)
        assert next(camera).raw.tobytes() == b"ab"
        assert camera.state == "live"
        publisher.publish(b"cd")
        assert next(camera).raw.tobytes() == b"cd"
