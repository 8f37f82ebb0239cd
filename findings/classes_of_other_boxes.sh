#!/usr/bin/env bash
# In PytorchWildlife, save_detection_classification_timelapse_json (utils/post_process.py) writes the classes
# of all boxes in an image into each of these boxes, because it matches classes and boxes only by the name of
# the image. A person next to a deer also becomes a deer, and so does the fox behind it.
# A reader of the MegaDetector format that takes the best class of each box then counts two or three deer
# and no fox: species are wrong wherever an image shows two of them, or people and animals.
# This program writes the answer for an image only on boxes of its category or, with --classify all, writes
# the answer for each box.
set -euo pipefail

folder=$(mktemp -d)
trap 'rm -rf "$folder"' EXIT
python3 -m venv "$folder/venv"
pip=("$folder/venv/bin/python" -m pip install --quiet --disable-pip-version-check)
"${pip[@]}" matplotlib==3.10.8
"${pip[@]}" --no-deps pytorchwildlife==1.3.0 supervision==0.23.0 opencv-python-headless==5.0.0.93 \
    numpy==2.4.6 scipy==1.17.1 pillow==13.0.0 defusedxml==0.7.1 PyYAML==6.0.3

cd "$folder"
"$folder/venv/bin/python" - <<'PYTHON'
import importlib.metadata
import importlib.util
import json
import sys

import numpy as np
import supervision

# The package imports all of its networks, but the file with its writers does not need them.
distribution = importlib.metadata.distribution("pytorchwildlife")
path = distribution.locate_file("PytorchWildlife/utils/post_process.py")
spec = importlib.util.spec_from_file_location("post_process", path)
post_process = importlib.util.module_from_spec(spec)
spec.loader.exec_module(post_process)

CATEGORIES = {0: "animal", 1: "person", 2: "vehicle"}
CLASSES = {0: "deer", 1: "fox"}

# The results for an image of 100x100 pixels, as the package's detectors and classifiers return them: a deer,
# a person and a fox. Only boxes around animals are classified, in order.
boxes = np.array([[10, 10, 30, 30], [40, 40, 60, 60], [70, 70, 90, 90]], dtype=np.float32)
detections = [
    {
        "img_id": "IMG_0001.JPG",
        "detections": supervision.Detections(
            xyxy=boxes, confidence=np.array([0.9, 0.8, 0.7]), class_id=np.array([0, 1, 0])
        ),
        "labels": ["animal 0.9", "person 0.8", "animal 0.7"],
        "normalized_coords": (boxes / 100).tolist(),
    }
]
classes = [
    {"img_id": "IMG_0001.JPG", "prediction": "deer", "class_id": 0, "confidence": 0.95},
    {"img_id": "IMG_0001.JPG", "prediction": "fox", "class_id": 1, "confidence": 0.85},
]
post_process.save_detection_classification_timelapse_json(
    detections, classes, "timelapse.json", det_categories=CATEGORIES, clf_categories=CLASSES
)
with open("timelapse.json") as file:
    written = json.load(file)["images"][0]["detections"]

print("PytorchWildlife", distribution.version, "\n")
expected = ([["0", 0.95]], [], [["1", 0.85]])
names = ("animal (deer)", "person", "animal (fox)")
for name, right, box in zip(names, expected, written, strict=True):
    print(f"{name:13} expected: {right or 'no classes'}   observed: {box['classifications']}")
seen = all(box["classifications"] == [["0", 0.95], ["1", 0.85]] for box in written)
print("\nThe behaviour is", "still observed." if seen else "no longer observed.")
sys.exit(0 if seen else 1)
PYTHON
