"""Fuzzing of everything that reads a file. Run with PYTHONPATH=scripts.

``targets.py`` defines what a reader may do with any bytes. ``tests/fuzz`` checks this with
Hypothesis, in every test run and always with the same examples; ``python -m fuzz`` checks it with
atheris, for as long as you like and with new examples each time. atheris has wheels for Linux on
x86-64 only, so the project does not depend on it: ``pip install atheris``.

    PYTHONPATH=scripts python -m fuzz predictions --corpus /tmp/corpus --seconds 300

``files.py`` creates small valid files to be damaged, ``seeds.py`` selects those of each target,
``mutations.py`` defines the damage as Hypothesis strategies, and ``hostile.py`` creates pickles that
run code.
"""
