"""A whole SDVR for a test: real programs, in folders of its own."""

from __future__ import annotations

import os
import shutil
import signal
import socket
import subprocess
import sys
import tempfile
import time
from pathlib import Path
from typing import Callable, Iterator, Optional

import numpy as np
import pytest
import sdvr

# How long anything may take that takes a moment: these machines are shared.
PATIENCE_SECONDS = 20.0


def program(name: str) -> str:
    """The path of one of SDVR's programs, by the variable that says where they were built."""
    return os.path.join(os.environ["SDVR_PROGRAMS"], name)


class System:
    """A daemon, and the cameras that a test starts."""

    def __init__(self, home: Path, rings: Path) -> None:
        self.home, self.rings = home, rings
        self.environment = {**os.environ, "HOME": str(home), "SDVR_SHM_DIR": str(rings)}
        with socket.socket() as probe:
            probe.bind(("127.0.0.1", 0))
            self.port = probe.getsockname()[1]
        self.running: list[subprocess.Popen[str]] = []
        self.daemon = self.start_daemon()

    def start_daemon(self) -> subprocess.Popen[str]:
        daemon = self.start("sdvrd", "-l", "127.0.0.1", "-p", str(self.port), stdout=subprocess.PIPE)
        assert daemon.stdout is not None
        line = daemon.stdout.readline()
        assert line.startswith("sdvrd ready: "), line
        return daemon

    def start(self, name: str, *arguments: str, stdout: Optional[int] = subprocess.DEVNULL) -> subprocess.Popen[str]:
        log = (self.home / f"{name}.log").open("a")
        process = subprocess.Popen(
            [program(name), *arguments], env=self.environment, stdin=subprocess.DEVNULL, stdout=stdout, stderr=log, text=True
        )
        log.close()
        self.running.append(process)
        return process

    def start_camera(self, label: str, source: str, *arguments: str) -> subprocess.Popen[str]:
        return self.start("sdvrc", "-d", "127.0.0.1", "-p", str(self.port), "-n", label, "-i", source, *arguments)

    def python(self, *arguments: str, stdout: int = subprocess.PIPE) -> subprocess.Popen[str]:
        """Another Python that runs a program."""
        process = subprocess.Popen(
            [sys.executable, *arguments], env=self.environment, stdin=subprocess.DEVNULL, stdout=stdout, stderr=subprocess.PIPE, text=True
        )
        self.running.append(process)
        return process

    def end(self) -> None:
        for process in reversed(self.running):
            if process.poll() is None:
                process.send_signal(signal.SIGCONT)
                process.kill()
            process.wait()


@pytest.fixture
def system(monkeypatch: pytest.MonkeyPatch) -> Iterator[System]:
    home = Path(tempfile.mkdtemp(prefix="sdvr-python-"))
    shared = Path(tempfile.mkdtemp(prefix="sdvr-python-", dir="/dev/shm"))
    monkeypatch.setenv("SDVR_SHM_DIR", str(shared / "rings"))
    system = None
    try:
        system = System(home, shared / "rings")
        yield system
    finally:
        if system is not None:
            system.end()
        shutil.rmtree(home)
        shutil.rmtree(shared)


def wait_until(is_true: Callable[[], bool], what: str) -> None:
    """Waits for what happens in a moment."""
    begin = time.monotonic()
    while not is_true():
        assert time.monotonic() - begin < PATIENCE_SECONDS, f"it never happened that {what}"
        time.sleep(0.01)


def open_camera(label: str, policy: str = "latest", **options: object) -> sdvr.Camera:
    """A camera that comes in a moment; frames that do not come fail the test."""
    options.setdefault("timeout", PATIENCE_SECONDS)
    return sdvr.open(label, policy, wait=True, **options)  # type: ignore[arg-type]


def assert_accounted(frames: list[sdvr.Frame]) -> None:
    """A camera drops frames when the machine has no time for it: every one that is not there must have been told of."""
    for before, frame in zip(frames, frames[1:]):
        assert frame.instance == before.instance
        assert frame.number - before.number == frame.missed + 1


def write_y4m(path: Path, width: int, height: int, count: int) -> list[bytes]:
    """Writes a clip of planes of noise, and gives them."""
    noise = np.random.default_rng(width)
    size = width * height + 2 * ((width + 1) // 2) * ((height + 1) // 2)
    pictures = [noise.integers(0, 256, size, dtype=np.uint8).tobytes() for _ in range(count)]
    header = f"YUV4MPEG2 W{width} H{height} F25:1 Ip C420jpeg\n".encode()
    path.write_bytes(header + b"".join(b"FRAME\n" + picture for picture in pictures))
    return pictures
