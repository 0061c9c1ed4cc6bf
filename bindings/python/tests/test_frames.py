"""What frames are given, by which policy, and what is told of those that are not."""

from __future__ import annotations

import gc
import itertools
import time
from pathlib import Path

import numpy as np
import pytest
import sdvr
from conftest import PATIENCE_SECONDS, System, assert_accounted, open_camera, wait_until


def test_a_loop_gives_frames_as_arrays(system: System) -> None:
    system.start_camera("door", "test:?size=64x48&fps=100&format=GREY")
    camera = open_camera("door")
    for frame in itertools.islice(camera, 5):
        assert (frame.label, frame.format, frame.width, frame.height) == ("door", "GREY", 64, 48)
        assert frame.gray.shape == (48, 64) and frame.gray.dtype == np.uint8
        assert frame.bgr.shape == (48, 64, 3) and frame.rgb.shape == (48, 64, 3)
        assert frame.rgba.shape == (48, 64, 4) and np.all(frame.rgba[..., 3] == 255)
        assert np.array_equal(frame.raw, frame.gray.ravel())
        assert frame.gray is frame.gray, "what was made is kept"
        assert abs(time.time() - frame.time) < PATIENCE_SECONDS
        now = time.clock_gettime_ns(time.CLOCK_BOOTTIME)
        assert frame.captured_ns <= frame.received_ns <= frame.published_ns <= now
        assert 0 <= frame.age < PATIENCE_SECONDS
        assert frame.clock_error is None or 0 <= frame.clock_error < 1
    assert (camera.label, camera.state, camera.format, camera.width) == ("door", "live", "GREY", 64)


def test_every_gives_all_frames_in_order(system: System) -> None:
    system.start_camera("door", "test:?size=64x48&fps=100&format=GREY")
    camera, ahead = open_camera("door", "every"), open_camera("door", "every")
    frames = [next(camera)]
    # Those that another reader has seen meanwhile are still to come, since the ring has more.
    newest = next(frame for frame in ahead if frame.number >= frames[0].number + 4)
    frames += itertools.islice(camera, 100)
    assert_accounted(frames)
    assert frames[1].number < newest.number


def test_a_slow_program_gets_the_newest_frame_and_is_told_what_it_missed(system: System) -> None:
    system.start_camera("door", "test:?size=64x48&fps=100&format=GREY")
    slow, all_of_them = open_camera("door", "latest"), open_camera("door", "every")
    first, every_first = next(slow), next(all_of_them)
    last = first
    for _ in range(5):
        # Until another reader has seen ten more frames.
        newest = next(frame for frame in all_of_them if frame.number >= last.number + 10)
        frame = next(slow)
        assert frame.number >= newest.number, "what is given is not older than what was seen before"
        assert frame.missed == frame.number - last.number - 1
        last = frame
    assert every_first.instance == last.instance


def test_keyframes_gives_frames_where_decoding_can_begin(system: System) -> None:
    system.start_camera("door", "test:?size=64x48&fps=100&format=MJPG")
    assert all(frame.is_key for frame in itertools.islice(open_camera("door", "keyframes"), 5))


def test_oldest_begins_with_what_is_there(system: System) -> None:
    system.start_camera("door", "test:?size=64x48&fps=100&format=GREY")
    newest = list(itertools.islice(open_camera("door", "every"), 20))[-1]
    oldest = next(sdvr.open("door", "every", start="oldest"))
    assert oldest.number < newest.number


def test_frames_that_are_kept_do_not_change(system: System) -> None:
    system.start_camera("door", "test:?size=64x48&fps=200&format=YUYV")
    frames = list(itertools.islice(open_camera("door", "every"), 30))
    copies = [(frame.bgr.copy(), frame.raw.copy()) for frame in frames]
    # Over many more frames than the ring of this stream has.
    for frame in itertools.islice(open_camera("door"), 200):
        assert frame.bgr.shape == (48, 64, 3)
    for frame, (bgr, raw) in zip(frames, copies):
        assert np.array_equal(frame.bgr, bgr) and np.array_equal(frame.raw, raw)
    pictures = {copy[0].tobytes() for copy in copies}
    assert len(pictures) > 1, "the picture moves"


def test_arrays_outlive_frame_and_camera(system: System) -> None:
    system.start_camera("door", "test:?size=64x48&fps=100&format=GREY")
    with open_camera("door") as camera:
        frame = next(camera)
        raw, gray = frame.raw, frame.gray
    copy = raw.copy()
    del frame, camera
    gc.collect()
    assert np.array_equal(raw, copy) and np.array_equal(gray.ravel(), copy)


def test_pictures_may_be_drawn_on_and_raw_bytes_may_not(system: System) -> None:
    system.start_camera("door", "test:?size=64x48&fps=100&format=GREY")
    frame = next(open_camera("door"))
    frame.gray[:] = 7
    assert np.all(frame.gray == 7)
    assert not np.all(frame.raw == 7)
    with pytest.raises(ValueError, match="read-only"):
        frame.raw[:] = 7


def own_memory_kib() -> int:
    """What this process has for itself: without what of the ring is mapped."""
    [line] = [line for line in Path("/proc/self/status").read_text().splitlines() if line.startswith("RssAnon:")]
    return int(line.split()[1])


def test_memory_does_not_grow(system: System) -> None:
    system.start_camera("door", "test:?size=320x240&fps=0&format=NV12")
    camera = open_camera("door")
    sum(int(frame.bgr[0, 0, 0]) for frame in itertools.islice(camera, 200))
    before = own_memory_kib()
    for frame in itertools.islice(camera, 2000):
        assert frame.bgr.size == 320 * 240 * 3 and frame.gray.size == 320 * 240 and frame.raw.size
    # A hundredth of what leaking one picture of each frame would take.
    assert own_memory_kib() - before < 2000 * 320 * 240 * 3 / 1024 / 100


def test_frames_that_were_not_copied_are_read_when_wanted(system: System) -> None:
    system.start_camera("door", "test:?size=64x48&fps=20&format=GREY")
    frame = next(open_camera("door", copy=False))
    assert np.array_equal(frame.gray.ravel(), frame.raw)
    assert frame.raw.size == 64 * 48


def test_a_frame_that_was_overwritten_raises(system: System) -> None:
    system.start_camera("door", "test:?size=64x48&fps=0&format=GREY")
    camera = open_camera("door", copy=False)
    read, unread = next(camera), next(camera)
    looked_at = read.raw.copy() if read.number == unread.number - 1 else None
    ring_is_over = open_camera("door", "every", copy=False)
    wait_until(lambda: next(ring_is_over).number > unread.number + 2000, "the ring was written all over")
    with pytest.raises(sdvr.Overwritten, match=f"frame {unread.number} of door was overwritten"):
        unread.raw
    with pytest.raises(sdvr.Overwritten):
        unread.gray
    if looked_at is not None:
        assert np.array_equal(read.raw, looked_at), "what was read in time is kept"


def test_frames_in_place_show_their_own_pixels_or_none(system: System) -> None:
    # A measuring frame says its own number, in bytes 8 to 16 of its header or where it is found first.
    system.start_camera("door", "test:?format=BNCH&bytes=20000&fps=0")
    camera = open_camera("door", "every", copy=False, pixels=None)
    whole, gone = 0, 0
    held: list[sdvr.Frame] = []
    for frame in itertools.islice(camera, 3000):
        held.append(frame)
        if len(held) < 64:
            continue
        late = held.pop(0)
        try:
            raw = late.raw.tobytes()
        except sdvr.Overwritten:
            gone += 1
        else:
            whole += 1
            assert late.number.to_bytes(8, "little") in raw[:64]
    assert whole > 0 or gone > 0


def test_raw_frames_need_no_decoder(system: System) -> None:
    system.start_camera("door", "test:?format=BNCH&bytes=100000&fps=100")
    frame = next(open_camera("door", pixels=None))
    assert frame.raw.size == 100_000
    with pytest.raises(sdvr.Undecodable) as caught:
        frame.bgr
    assert (caught.value.camera, caught.value.frame) == ("door", frame.number)
