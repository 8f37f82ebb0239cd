"""Fuzzes one target with atheris: ``python -m fuzz TARGET --corpus FOLDER --seconds N``.

Interesting inputs stay in the folder, so that a later run continues from there. A defect ends the run
with its traceback, exit code 77, and a file ``crash-...`` next to the corpus; ``--file`` passes such
a file to its target again.
"""

from __future__ import annotations

import argparse
import importlib
import sys
import tempfile
import warnings
from pathlib import Path
from typing import Any

from absl import logging

MEASURED = ["speciesnet", "PIL"]  # the packages whose coverage is measured
_CORPUS = Path(tempfile.gettempdir()) / "fuzz"


def main() -> None:
    """Runs one target."""
    arguments = _arguments()
    logging.set_verbosity(logging.ERROR)
    warnings.simplefilter("ignore")
    if arguments.file:
        from fuzz.targets import TARGETS

        TARGETS[arguments.target](arguments.file.read_bytes())
        return
    try:
        atheris: Any = importlib.import_module("atheris")
    except ImportError:
        sys.exit("atheris is not installed: pip install atheris (Linux on x86-64).")
    with atheris.instrument_imports(include=MEASURED):
        from fuzz.seeds import seeds_of, write_seeds
        from fuzz.targets import NETWORKS, TARGETS

        target = TARGETS[arguments.target]
        if arguments.target in NETWORKS:
            _measure_unpickler(atheris)
        for data in seeds_of(arguments.target):
            target(data)  # so that what is imported late is measured too
    corpus: Path = arguments.corpus / arguments.target
    write_seeds(arguments.target, corpus)
    largest = max(map(len, seeds_of(arguments.target)))
    options = [
        f"-max_total_time={arguments.seconds}",
        f"-max_len={2 * largest + 4096}",
        f"-artifact_prefix={arguments.corpus.resolve()}/{arguments.target}-",
        "-timeout=30",
        f"-rss_limit_mb={arguments.memory}",
    ]
    atheris.Setup([sys.argv[0], *options, str(corpus)], target)
    atheris.Fuzz()


def _measure_unpickler(atheris: Any) -> None:
    """PyTorch's reader of pickles is Python; all of PyTorch would take minutes to measure."""
    from torch import _weights_only_unpickler as unpickler

    unpickler.get_globals_in_pkl = atheris.instrument_func(unpickler.get_globals_in_pkl)
    unpickler.Unpickler.load = atheris.instrument_func(unpickler.Unpickler.load)


def _arguments() -> argparse.Namespace:
    parser = argparse.ArgumentParser(prog="python -m fuzz", description=__doc__)
    parser.add_argument("target", help="a function of targets.py")
    parser.add_argument("--corpus", type=Path, default=_CORPUS, help="a folder; %(default)s")
    parser.add_argument("--seconds", type=int, default=120)
    parser.add_argument("--memory", type=int, default=3000, help="MiB that are too many")
    parser.add_argument("--file", type=Path, help="one file to run, without atheris")
    return parser.parse_args()


if __name__ == "__main__":
    main()
