#!/usr/bin/env bash
# The validator of the MegaDetector format rejects a file in which a box has the confidence 1, and accepts
# the same file with 1.0. JSON has one kind of number, and JavaScript writes 1.0 as 1: a file that such a
# tool saves after a review fails as a whole as soon as one box has the confidence 1.
# The score of a classification may be 1 in the same validator.
# This program writes every confidence of a box as a float, so that its files pass the validator.
set -euo pipefail

folder=$(mktemp -d)
trap 'rm -rf "$folder"' EXIT
python3 -m venv "$folder/venv"
pip=("$folder/venv/bin/python" -m pip install --quiet --disable-pip-version-check)
"${pip[@]}" --no-deps megadetector==10.0.28 jsonpickle==4.1.4 tqdm==4.70.1 numpy==2.4.6 \
    opencv-python-headless==5.0.0.93 pillow==13.0.0
"${pip[@]}" pytest==9.2.0 requests==2.34.2 # the package imports both

cat > "$folder/template.json" <<'JSON'
{
  "info": {"format_version": "1.5", "detector": "example"},
  "detection_categories": {"1": "animal", "2": "person", "3": "vehicle"},
  "classification_categories": {"0": "red fox"},
  "images": [
    {
      "file": "camera1/fox.jpg",
      "detections": [
        {"category": "1", "conf": CONF, "bbox": [0.1, 0.2, 0.3, 0.4], "classifications": [["0", 1]]}
      ]
    }
  ]
}
JSON
sed 's/CONF/1.0/' "$folder/template.json" > "$folder/float.json"
sed 's/CONF/1/' "$folder/template.json" > "$folder/whole.json"

cd "$folder"
"$folder/venv/bin/python" - <<'PYTHON'
import importlib.metadata
import sys

from megadetector.postprocessing.validate_batch_results import validate_batch_results

print("megadetector", importlib.metadata.version("megadetector"))
errors = {}
for name, number in {"float.json": "1.0", "whole.json": "1"}.items():
    errors[name] = validate_batch_results(name)["validation_results"]["errors"]
    print(f'\n"conf": {number}\n  expected: no errors\n  observed: {errors[name] or "no errors"}')
seen = not errors["float.json"] and any("confidence" in e for e in errors["whole.json"])
print("\nThe behaviour is", "still observed." if seen else "no longer observed.")
sys.exit(0 if seen else 1)
PYTHON
