"""Mistakes that a user can mend. Command lines print the sentence and exit with code 1."""

from __future__ import annotations


class SpeciesNetError(Exception):
    """One sentence that says what is wrong, where, and how to mend it."""


class InputError(SpeciesNetError):
    """The images, instances or flags of a run."""


class ModelError(SpeciesNetError):
    """A model package, or one of its files."""


class OutputError(SpeciesNetError):
    """The predictions file: where it should go, or what it already holds."""


class ImageError(SpeciesNetError):
    """One image that cannot be read; the run goes on without it."""


class ClusterError(SpeciesNetError):
    """A cluster lost images or processes of a run; the same command continues it."""
