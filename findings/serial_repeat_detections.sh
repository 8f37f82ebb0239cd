#!/usr/bin/env bash
# MegaDetector's search for repeated boxes (find_repeat_detections) has an option bParallelizeComparisons, which
# is True by default. With False, the search finishes all comparisons and then fails with an UnboundLocalError,
# because it closes a thread pool that only the parallel branch creates. The benchmark of boxes that never move
# therefore keeps the default and uses one thread (nWorkers = 1), which gives the same groups.
set -euo pipefail

folder=$(mktemp -d)
trap 'rm -rf "$folder"' EXIT
python3 -m venv "$folder/venv"
pip=("$folder/venv/bin/python" -m pip install --quiet --disable-pip-version-check)
"${pip[@]}" fastquadtree==2.4.2 humanfriendly==10.0 jsonpickle==4.1.4 matplotlib==3.11.2 numpy==2.4.6 \
    opencv-python-headless==5.0.0.93 pandas==3.1.1 pillow==13.0.0 pytest==9.2.0 requests==2.34.2 scikit-learn==1.9.1 \
    tqdm==4.70.1
"${pip[@]}" --no-deps megadetector==10.0.28

cd "$folder"
"$folder/venv/bin/python" - <<'PYTHON'
import contextlib
import io
import json
import sys
from importlib.metadata import version
from pathlib import Path

from megadetector.postprocessing.repeat_detection_elimination import repeat_detections_core as core

box = {"category": "1", "conf": 0.8, "bbox": [0.2, 0.3, 0.1, 0.1]}
images = [{"file": f"camera/{i:02}.jpg", "detections": [box]} for i in range(30)]
info = {"format_version": "1.5"}
Path("boxes.json").write_text(
    json.dumps({"info": info, "detection_categories": {"1": "animal"}, "images": images})
)


def groups(is_parallel):
    options = core.RepeatDetectionOptions()
    options.bWriteFilteringFolder = False
    options.nWorkers = 1
    options.bParallelizeComparisons = is_parallel
    with contextlib.redirect_stdout(io.StringIO()):
        try:
            found = core.find_repeat_detections("boxes.json", options=options)
        except UnboundLocalError as error:
            return f"UnboundLocalError: {error}"
    return [len(group.instances) for camera in found.suspicious_detections for group in camera]


parallel, serial = groups(True), groups(False)
print("megadetector", version("megadetector"), "\n")
print("one box in 30 images, bParallelizeComparisons = True: ", parallel)
print("expected with False: ", parallel, "\nobserved with False: ", serial)
seen = parallel == [30] and "'pool'" in str(serial)
print("\nThe behavior is", "still observed." if seen else "no longer observed.")
sys.exit(0 if seen else 1)
PYTHON
