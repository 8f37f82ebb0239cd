#!/usr/bin/env bash
# tf_keras 2.21 writes HDF5 into a .keras file, with only a general warning, when a thread saves its second
# model, if tf_keras was imported by a different thread. Each thread stores whether the new format is enabled.
# If nothing is stored, it is enabled, but the first model.save of the thread then "restores" the missing
# value as disabled. Readers of .keras archives, such as this program, reject the file as damaged.
set -euo pipefail

folder=$(mktemp -d)
trap 'rm -rf "$folder"' EXIT
python3 -m venv "$folder/venv"
"$folder/venv/bin/python" -m pip install --quiet --disable-pip-version-check tensorflow==2.21.0 tf_keras==2.21.0

cd "$folder"
TF_CPP_MIN_LOG_LEVEL=3 "$folder/venv/bin/python" -W ignore - 2> log.txt <<'PYTHON' || { cat log.txt >&2; exit 1; }
import sys
import threading
import zipfile
from importlib.metadata import version


def saved_formats(prefix):
    import tf_keras

    model = tf_keras.Sequential([tf_keras.Input((2,)), tf_keras.layers.Dense(1)])
    for number in (1, 2):
        path = f"{prefix}{number}.keras"
        model.save(path)
        formats.append("archive" if zipfile.is_zipfile(path) else "HDF5")


formats = []
importing = threading.Thread(target=saved_formats, args=("importing",))
importing.start()
importing.join()
saved_formats("other")
print("tf_keras", version("tf_keras"), "\n")
print("two models of the thread that imported tf_keras:", ", ".join(formats[:2]))
print("two models of another thread, expected:          archive, archive")
print("two models of another thread, observed:         ", ", ".join(formats[2:]))
seen = formats == ["archive", "archive", "archive", "HDF5"]
print("\nThe behavior is", "still observed." if seen else "no longer observed.")
sys.exit(0 if seen else 1)
PYTHON
