"""Publishes the brightness of a camera's pictures as a stream of its own, CAMERA/gray, which other programs read as they read a camera's."""

import argparse
import itertools

import sdvr

parser = argparse.ArgumentParser(description=__doc__)
parser.add_argument("camera", help="the camera's label")
parser.add_argument("--count", type=int, help="end after so many frames")
arguments = parser.parse_args()

with sdvr.open(arguments.camera, wait=True, pixels="gray") as camera:
    first = next(camera)
    height, width = first.gray.shape
    with sdvr.Publisher(f"{camera.label}/gray", width, height, "GREY", source=camera.label) as publisher:
        for frame in itertools.islice(itertools.chain([first], camera), arguments.count):
            publisher.publish(frame.gray, source=frame)
            print(f"frame {frame.number}", flush=True)
