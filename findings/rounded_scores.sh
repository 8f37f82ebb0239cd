#!/usr/bin/env bash
# The published SpeciesNet rounds all numbers in a predictions file to four decimal places (save_predictions in
# utils.py), including those of --detector_only and --classifier_only, which --ensemble_only reads again. Its
# rules require more than 0.65 or 0.7: a score of 0.65004 is enough in a single run of all steps but, rounded to
# 0.65, is not enough in a run in three steps. Its documentation says that both outputs are identical.
# If scores were spread evenly, 5 in 100,000 would be rounded down to a threshold. The animals of these
# images can lose their species, and people can become unknown ("no cv result"), depending on how the model
# was run. This program writes scores unrounded.
set -euo pipefail

folder=$(mktemp -d)
trap 'rm -rf "$folder"' EXIT
python3 -m venv "$folder/venv"
pip=("$folder/venv/bin/python" -m pip install --quiet --disable-pip-version-check)
"${pip[@]}" absl-py==2.5.1 cloudpathlib==0.26.0 huggingface_hub==2.4.0 humanfriendly==10.0 \
    kagglehub==1.0.3
"${pip[@]}" --no-deps speciesnet==5.0.6 numpy==2.4.6 pillow==13.0.0

cd "$folder"
"$folder/venv/bin/python" - <<'PYTHON'
import importlib.metadata
import json
import sys
import types
from pathlib import Path

# The package itself imports PyTorch; the two modules used here do not.
distribution = importlib.metadata.distribution("speciesnet")
package = types.ModuleType("speciesnet")
package.__path__ = [str(distribution.locate_file("speciesnet"))]
sys.modules["speciesnet"] = package

from speciesnet.ensemble import SpeciesNetEnsemble
from speciesnet.utils import load_partial_predictions, make_predictions_dict, save_predictions

FOX = "00000000-0000-4000-8000-000000000001;mammalia;carnivora;canidae;vulpes;vulpes;red fox"
BIRD = "00000000-0000-4000-8000-000000000002;aves;;;;;bird"
BLANK = "f1856211-cfb7-4a5b-9158-c0f72fd09ee6;;;;;;blank"

# A model with two labels; only its rules are used.
Path("taxonomy.txt").write_text(f"{FOX}\n{BIRD}\n")
Path("geofence.json").write_text("{}")
names = {"version": "example", "type": "always_crop", "detector": "unused", "classifier": "unused"}
names |= {"classifier_labels": "unused", "taxonomy": "taxonomy.txt", "geofence": "geofence.json"}
Path("info.json").write_text(json.dumps(names))


def records(path, category, label, conf, scores):
    """What the detector and the classifier return for an image with one box."""
    box = {"category": category, "label": label, "conf": conf, "bbox": [0.1, 0.1, 0.5, 0.5]}
    classifications = {"classes": list(scores), "scores": list(scores.values())}
    return (
        {"filepath": path, "detections": [box]},
        {"filepath": path, "detections": [{**box, "raw_classifications": classifications}]},
    )


images = [
    records("fox.jpg", "1", "animal", 0.9, {FOX: 0.65004, BIRD: 0.2, BLANK: 0.14996}),
    records("person.jpg", "2", "human", 0.70004, {BLANK: 0.8, FOX: 0.15, BIRD: 0.05}),
]
paths = [detected["filepath"] for detected, _ in images]
in_memory = [{record["filepath"]: record for record in step} for step in zip(*images)]
from_files = []
for step in in_memory:
    save_predictions(make_predictions_dict(list(step.values())), "step.json")
    from_files.append(load_partial_predictions("step.json", [{"filepath": path} for path in paths])[0])

ensemble = SpeciesNetEnsemble(".")
answers = []
for detected, classified in (in_memory, from_files):
    places = {path: {} for path in paths}
    predictions = ensemble.combine(paths, classified, detected, places)
    processed = [record["detections"][0]["processed_classification"] for record in predictions]
    answers.append([answer["class"].split(";")[-1] for answer in processed])

print("speciesnet", distribution.version, "\n")
for path, expected, observed in zip(paths, *answers, strict=True):
    print(f"{path:11} expected, as in one run: {expected:8} observed in three steps: {observed}")
seen = answers == [["red fox", "human"], ["animal", "no cv result"]]
print("\nThe behaviour is", "still observed." if seen else "no longer observed.")
sys.exit(0 if seen else 1)
PYTHON
