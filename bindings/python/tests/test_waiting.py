"""Waiting: for whom, for how long, and what ends it."""

from __future__ import annotations

import asyncio
import signal
import threading
import time

import pytest
import sdvr
from conftest import PATIENCE_SECONDS, System, assert_accounted, open_camera, wait_until

# A program that waits for a camera that never comes, and says how Ctrl-C reached it.
WAITS = """
import sdvr
camera = sdvr.open("nobody", wait=True)
print("waiting", flush=True)
try:
    {wait}
except KeyboardInterrupt:
    print("interrupted", flush=True)
"""


@pytest.mark.parametrize(
    "wait",
    ["next(camera)", "camera.next()", "list(sdvr.watch())", "sdvr.group(['nobody'], wait=True).next()"],
)
def test_ctrl_c_ends_waiting(system: System, wait: str) -> None:
    program = system.python("-c", WAITS.format(wait=wait))
    assert program.stdout is not None and program.stdout.readline() == "waiting\n"
    time.sleep(0.2)
    program.send_signal(signal.SIGINT)
    output, errors = program.communicate(timeout=PATIENCE_SECONDS)
    assert (output, program.returncode) == ("interrupted\n", 0), errors


def test_other_threads_run_while_one_waits(system: System) -> None:
    camera = sdvr.open("nobody", wait=True)
    waiter = threading.Thread(target=camera.next, args=(1.0,))
    waiter.start()
    # With a thread that held Python's lock while it waits, there would be no turn before it ends.
    turns = 0
    while waiter.is_alive():
        turns += 1
        time.sleep(0.001)
    assert turns > 10


def test_nothing_within_the_time_is_none(system: System) -> None:
    camera = sdvr.open("nobody", wait=True)
    begin = time.monotonic()
    assert camera.next(timeout=0.3) is None
    assert time.monotonic() - begin >= 0.3
    assert camera.next(0) is None
    assert camera.state == "lost"
    assert camera.format is None


def test_an_iteration_that_waits_too_long_raises(system: System) -> None:
    with pytest.raises(sdvr.TimedOut, match="nobody"):
        next(sdvr.open("nobody", wait=True, timeout=0.1))
    with pytest.raises(TimeoutError):
        next(sdvr.open("nobody", wait=True, timeout=0.1))


def test_a_camera_that_is_not_there_says_who_is(system: System) -> None:
    system.start_camera("door", "test:?size=64x48&fps=50&format=GREY")
    next(open_camera("door"))
    with pytest.raises(sdvr.NotFound, match="garden.*door"):
        sdvr.open("garden")


@pytest.mark.parametrize(
    "options",
    [{"policy": "newest"}, {"start": "then"}, {"pixels": "cmyk"}, {"on_damage": "x"}, {"timeout": -1.0}, {"timeout": float("nan")}],
)
def test_what_is_no_option_is_refused(options: dict[str, object]) -> None:
    with pytest.raises(ValueError):
        sdvr.open("door", wait=True, **options)  # type: ignore[arg-type]


def test_after_close_everything_says_so(system: System) -> None:
    system.start_camera("door", "test:?size=64x48&fps=50&format=GREY")
    with open_camera("door") as camera:
        frame = next(camera)
    for use in (lambda: next(camera), lambda: camera.next(0), lambda: camera.state, lambda: camera.fileno()):
        with pytest.raises(sdvr.Closed):
            use()
    camera.close()
    assert frame.gray.shape == (48, 64)


def test_close_ends_a_thread_that_waits(system: System) -> None:
    camera = sdvr.open("nobody", wait=True)
    caught: list[BaseException] = []

    def wait() -> None:
        try:
            camera.next()
        except sdvr.Closed as error:
            caught.append(error)

    waiter = threading.Thread(target=wait)
    waiter.start()
    time.sleep(0.1)
    camera.close()
    waiter.join(PATIENCE_SECONDS)
    assert len(caught) == 1


def test_two_threads_cannot_wait_for_one_camera(system: System) -> None:
    camera = sdvr.open("nobody", wait=True)
    waiter = threading.Thread(target=camera.next, args=(1.0,))
    waiter.start()
    refused = False
    while waiter.is_alive() and not refused:
        try:
            camera.next(0)
        except RuntimeError as error:
            refused = "another thread" in str(error)
    assert refused
    assert camera.state == "lost", "what does not wait is told meanwhile"
    waiter.join()


def test_a_camera_that_was_killed_comes_back(system: System) -> None:
    client = system.start_camera("door", "test:?size=64x48&fps=50&format=GREY")
    camera = open_camera("door", "every")
    first = next(camera)
    client.kill()
    client.wait()
    system.start_camera("door", "test:?size=64x48&fps=50&format=GREY")
    second = next(frame for frame in camera if frame.instance != first.instance)
    assert second.label == "door"


def test_a_daemon_that_was_killed_comes_back(system: System) -> None:
    system.start_camera("door", "test:?size=64x48&fps=50&format=GREY")
    camera = open_camera("door", "latest")
    next(camera)
    system.daemon.kill()
    system.daemon.wait()
    wait_until(lambda: camera.next(0) is None, "all frames were read")
    system.daemon = system.start_daemon()
    assert next(camera).label == "door"


def test_iteration_can_end_with_the_camera(system: System) -> None:
    camera = open_camera("door", "every", until_end=True)
    system.start_camera("door", "test:?size=64x48&fps=100&format=GREY&count=20")
    frames = list(camera)
    assert_accounted(frames)
    assert 0 < len(frames) <= 20 and frames[-1].number < 20


def test_cameras_are_listed_and_watched(system: System) -> None:
    assert sdvr.cameras() == []
    watch = sdvr.watch(timeout=PATIENCE_SECONDS)
    client = system.start_camera("door", "test:?size=64x48&fps=50&format=GREY")
    came = next(watch)
    assert (came.kind, came.camera.label, came.camera.format) == ("came", "door", "GREY")
    [camera] = sdvr.cameras()
    assert (camera.label, camera.width, camera.height, camera.state) == ("door", 64, 48, "live")
    assert camera.fingerprint is not None and camera.fingerprint.startswith("SHA256:")
    assert next(sdvr.open(camera.fingerprint)).label == "door"
    client.terminate()
    went = next(watch)
    assert (went.kind, went.camera.label) == ("went", "door")


def test_each_camera_has_a_thread(system: System) -> None:
    seen: set[str] = set()
    together = threading.Barrier(2, timeout=PATIENCE_SECONDS)

    def run(camera: sdvr.Camera) -> None:
        frame = next(camera)
        together.wait()
        seen.add(frame.label)

    system.start_camera("one", "test:?size=64x48&fps=50&format=GREY")
    system.start_camera("two", "test:?size=64x48&fps=50&format=GREY")
    threading.Thread(target=sdvr.for_each_camera, args=(run,), daemon=True).start()
    wait_until(lambda: seen == {"one", "two"}, "both were run")


def test_async_for_gives_frames_and_lets_others_run(system: System) -> None:
    system.start_camera("door", "test:?size=64x48&fps=50&format=GREY")

    async def program() -> tuple[list[sdvr.Frame], int]:
        turns = 0

        async def others() -> None:
            nonlocal turns
            while True:
                turns += 1
                await asyncio.sleep(0)

        other = asyncio.create_task(others())
        frames = []
        async for frame in open_camera("door", "every"):
            frames.append(frame)
            if len(frames) == 20:
                break
        other.cancel()
        return frames, turns

    frames, turns = asyncio.run(program())
    assert_accounted(frames)
    assert turns > 20


def test_a_task_that_is_cancelled_loses_no_frame(system: System) -> None:
    system.start_camera("door", "test:?size=64x48&fps=50&format=GREY")

    async def program() -> list[sdvr.Frame]:
        camera = open_camera("door", "every")
        frames: list[sdvr.Frame] = []

        async def read() -> None:
            async for frame in camera:
                frames.append(frame)

        while len(frames) < 20:
            task = asyncio.create_task(read())
            await asyncio.sleep(0.03)
            task.cancel()
            with pytest.raises(asyncio.CancelledError):
                await task
        return frames

    assert_accounted(asyncio.run(program()))


def test_async_ends_and_times_out_as_for_does(system: System) -> None:
    async def until_end() -> list[sdvr.Frame]:
        return [frame async for frame in camera]

    camera = open_camera("door", "every", until_end=True)
    system.start_camera("door", "test:?size=64x48&fps=100&format=GREY&count=20")
    frames = asyncio.run(until_end())
    assert_accounted(frames)
    assert 0 < len(frames) <= 20

    async def too_long() -> None:
        async for _ in sdvr.open("nobody", wait=True, timeout=0.2):
            pass

    with pytest.raises(sdvr.TimedOut):
        asyncio.run(too_long())


def test_two_tasks_cannot_wait_for_one_camera(system: System) -> None:
    async def program() -> None:
        camera = sdvr.open("nobody", wait=True)
        task = asyncio.create_task(camera.__anext__())
        await asyncio.sleep(0.05)
        with pytest.raises(RuntimeError, match="another task"):
            await camera.__anext__()
        task.cancel()

    asyncio.run(program())


def test_a_group_gives_frames_of_all(system: System) -> None:
    system.start_camera("one", "test:?size=64x48&fps=50&format=GREY")
    system.start_camera("two", "test:?size=32x24&fps=50&format=GREY")
    with sdvr.group(["one", "two"], "every", wait=True) as group:
        seen: dict[str, list[sdvr.Frame]] = {"one": [], "two": []}
        for frame in group:
            seen[frame.label].append(frame)
            assert frame.gray.shape == ((48, 64) if frame.label == "one" else (24, 32))
            if min(map(len, seen.values())) >= 10:
                break
    for frames in seen.values():
        assert_accounted(frames)
    with pytest.raises(sdvr.Closed):
        group.next(0)
    with pytest.raises(ValueError, match="twice"):
        sdvr.group(["one", "one"], wait=True)


def test_a_group_gives_frames_of_one_moment(system: System) -> None:
    system.start_camera("one", "test:?size=64x48&fps=50&format=GREY")
    system.start_camera("two", "test:?size=64x48&fps=50&format=GREY")
    group = sdvr.group(["one", "two"], wait=True)
    whole = 0
    while whole < 10:
        together = group.sync(0.025, timeout=PATIENCE_SECONDS)
        assert together is not None
        if len(together) == 2:
            assert abs(together["one"].captured_ns - together["two"].captured_ns) <= 25_000_000
            whole += 1
