"""Saves the newest picture of a camera: as whatever OpenCV makes of the file's name, or without OpenCV as PPM."""

import argparse
import itertools
import pathlib

import sdvr

try:
    import cv2
except ImportError:
    cv2 = None

parser = argparse.ArgumentParser(description=__doc__)
parser.add_argument("camera", help="the camera's label")
parser.add_argument("file", help="where to, such as door.png; with {} in it for the frame's number")
parser.add_argument("--count", type=int, default=1, help="save so many pictures")
arguments = parser.parse_args()

for frame in itertools.islice(sdvr.open(arguments.camera, wait=True), arguments.count):
    path = pathlib.Path(arguments.file.replace("{}", str(frame.number)))
    if path.suffix == ".ppm" or cv2 is None:
        height, width, _ = frame.rgb.shape
        path.write_bytes(f"P6 {width} {height} 255\n".encode() + frame.rgb.tobytes())
    else:
        cv2.imwrite(str(path), frame.bgr)
    print(f"frame {frame.number}: {path}", flush=True)
