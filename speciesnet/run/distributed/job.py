"""The description of a run on a cluster, which all of its processes receive."""

from __future__ import annotations

from dataclasses import dataclass

from speciesnet.run import Run
from speciesnet.run.distributed.folder import Folder
from speciesnet.run.distributed.resources import Resources
from speciesnet.run.model import ModelOptions

GUARDED_IMAGES = 500  # enough for a trial, and no more than a shard by default


@dataclass(frozen=True, kw_only=True)
class Job:
    """A run on a cluster.

    Attributes:
        folder: The output folder.
        model: The model that every process loads.
        run: The options shared with runs on one machine; its instances and its output are not used.
        resources: The processes and resources of each stage.
        shard_size: Number of records per shard; the last shard of a round may have fewer.
        shard_format: "jsonl" or "parquet".
        task_images: Number of images that one task reads; see ``call_images``.
    """

    folder: Folder
    model: ModelOptions
    run: Run
    resources: Resources
    shard_size: int = 500
    shard_format: str = "jsonl"
    task_images: int = 64

    @property
    def is_guarded(self) -> bool:
        """Whether images go through a lower precision where that changes no answer."""
        return self.model.precision == "auto"

    @property
    def call_images(self) -> int:
        """Number of images that a task or a process gets in one call."""
        return GUARDED_IMAGES if self.is_guarded else self.task_images
