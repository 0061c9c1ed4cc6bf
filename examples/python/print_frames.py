"""Prints a line for every frame of a camera."""

import argparse
import itertools

import sdvr

parser = argparse.ArgumentParser(description=__doc__)
parser.add_argument("camera", help="the camera's label")
parser.add_argument("--count", type=int, help="end after so many frames")
arguments = parser.parse_args()

for frame in itertools.islice(sdvr.open(arguments.camera, wait=True), arguments.count):
    print(
        f"frame {frame.number}: {frame.format} {frame.width}x{frame.height}, {frame.raw.size} bytes, "
        f"{frame.missed} missed, {frame.age * 1000:.1f} ms old",
        flush=True,
    )
