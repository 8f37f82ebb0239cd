#!/usr/bin/env bash
# The fast backend of ijson (yajl2_c, the default of its wheels) fails with a UnicodeDecodeError at the
# escape of a lone low surrogate, such as "\udcea", and reads that of a lone high one as a question mark.
# Its python backend and the json module of Python return both as they are. The question mark is from
# yajl_encode.c. Python writes the first for names of files that are not UTF-8, such as those of old
# cards and disks in Latin-1; Windows allows the second in names. One such name in a file of predictions,
# and ijson reads none of the records from there on, or a name of which there is no file. RFC 8259 allows
# both escapes, but calls what readers make of them unpredictable.
# This program reads and writes such names with the json module of Python.
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

# The name of a folder in Latin-1, as Python returns it when it lists the folder.
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
