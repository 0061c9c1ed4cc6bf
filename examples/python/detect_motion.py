"""Prints where something moves in a camera's pictures, by OpenCV's subtraction of the background."""

import argparse
import itertools

import cv2
import sdvr

# What covers fewer pixels is noise.
AREA_LEAST = 200


class Motion:
    """Learns what the background is, picture by picture."""

    def __init__(self):
        self.subtractor = cv2.createBackgroundSubtractorMOG2(history=100, varThreshold=25, detectShadows=False)
        self.kernel = cv2.getStructuringElement(cv2.MORPH_ELLIPSE, (5, 5))

    def boxes(self, picture):
        """X, Y, width and height of each thing that moves, from left to right."""
        mask = self.subtractor.apply(picture)
        mask = cv2.dilate(cv2.erode(mask, self.kernel), self.kernel, iterations=3)
        contours, _ = cv2.findContours(mask, cv2.RETR_EXTERNAL, cv2.CHAIN_APPROX_SIMPLE)
        return sorted(cv2.boundingRect(contour) for contour in contours if cv2.contourArea(contour) >= AREA_LEAST)


def main():
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("camera", help="the camera's label")
    parser.add_argument("--count", type=int, help="end after so many frames")
    arguments = parser.parse_args()
    motion = Motion()
    # Every frame, since the background is learnt from all; and a camera that ends ends the program.
    frames = sdvr.open(arguments.camera, "every", wait=True, until_end=True)
    for frame in itertools.islice(frames, arguments.count):
        boxes = [f"{x},{y} {width}x{height}" for x, y, width, height in motion.boxes(frame.bgr)]
        print(f"frame {frame.number}: {' '.join(boxes)}".rstrip(), flush=True)


if __name__ == "__main__":
    main()
