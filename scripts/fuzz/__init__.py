"""Fuzzing of everything that reads a file. Run with PYTHONPATH=scripts.

``targets.py`` says what a reader may do with any bytes. ``tests/fuzz`` holds the readers to that with
Hypothesis, in every run of the tests and always with the same examples; ``python -m fuzz`` does with
atheris, for as long as one likes, each time with others. atheris has wheels for Linux on x86-64 only, so
the project does not depend on it: ``pip install atheris``.

    PYTHONPATH=scripts python -m fuzz predictions --corpus /tmp/corpus --seconds 300

``files.py`` makes the small valid files that are then damaged, ``seeds.py`` gives each target its own,
``mutations.py`` is the damage as Hypothesis' strategies, ``hostile.py`` makes pickles that run code.
"""
