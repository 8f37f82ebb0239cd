"""The predictions file, which is both the output and the checkpoint of a run."""
