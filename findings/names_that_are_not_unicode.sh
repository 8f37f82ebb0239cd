#!/usr/bin/env bash
# ijson's fast backend (yajl2_c, the default in its wheels) fails with a UnicodeDecodeError at the escape of a
# lone low surrogate, such as "\udcea", and reads a lone high surrogate as a question mark, which comes from
# yajl_encode.c. Its python backend and Python's json module return both unchanged.
# Python writes the former for file names that are not UTF-8, such as Latin-1 names on old cards and disks;
# Windows allows the latter in names. After one such name in a predictions file, ijson reads no further
# records, or it returns the name of a file that does not exist. RFC 8259 allows both escapes, but calls the
# behavior of readers unpredictable.
# This program reads and writes such names with Python's json module.
set -euo pipefail

folder=$(mktemp -d)
trap 'rm -rf "$folder"' EXIT
python3 -m venv "$folder/venv"
pip=("$folder/venv/bin/python" -m pip install --quiet --disable-pip-version-check --no-deps)
"${pip[@]}" ijson==3.6.0

cd "$folder"
"$folder/venv/bin/python" - <<'PYTHON'
import importlib.metadata
import json
import sys

import ijson

# The Latin-1 name of a folder, as Python returns it when it lists the parent folder.
LATIN_1 = b"Ch\xeane/IMG_0001.JPG".decode("utf-8", "surrogateescape")
# A name that Windows allows: half of a character outside the first 65,536.
HALF = "Fox \ud83e/IMG_0001.JPG"

print("ijson", importlib.metadata.version("ijson"), "with", ijson.backend, "as default")
observed = {}
for name in (LATIN_1, HALF):
    with open("predictions.json", "w") as file:
        json.dump({"predictions": [{"filepath": name}, {"filepath": "IMG_0002.JPG"}]}, file)
    print("\nexpected:         ", [name, "IMG_0002.JPG"])
    for backend in ("python", "yajl2_c"):
        with open("predictions.json", "rb") as file:
            try:
                records = ijson.get_backend(backend).items(file, "predictions.item.filepath")
                observed[name, backend] = list(records)
            except UnicodeDecodeError as error:
                observed[name, backend] = type(error).__name__
        print(f"observed: {backend:8}", observed[name, backend])
seen = ijson.backend == "yajl2_c"
seen &= all(observed[name, "python"] == [name, "IMG_0002.JPG"] for name in (LATIN_1, HALF))
seen &= observed[LATIN_1, "yajl2_c"] == "UnicodeDecodeError"
seen &= observed[HALF, "yajl2_c"] == ["Fox ?/IMG_0001.JPG", "IMG_0002.JPG"]
print("\nThe behaviour is", "still observed." if seen else "no longer observed.")
sys.exit(0 if seen else 1)
PYTHON
