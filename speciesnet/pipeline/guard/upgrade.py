"""Makes the int8 networks of a model while a long run continues with slower ones."""

from __future__ import annotations

from collections.abc import Callable, Collection, Sequence
from contextlib import suppress
from pathlib import Path

from absl import logging

from speciesnet.engines.precision import can_quantize
from speciesnet.errors import ModelError
from speciesnet.pipeline.calibration import Quantization, quantize_in_background
from speciesnet.pipeline.guard.guard import Guard
from speciesnet.pipeline.networks import NetworkOptions

# With full-size networks on 2 cores, int8 saves 0.7 of 1.7 seconds per image compared with bf16. Making
# the networks takes 3 minutes of both cores, and the trial takes 4 minutes longer than its images would
# in bf16: 600 images save as much. A few hundred more pass by while the networks are made.
LONG_RUN = 2000  # photographs; making the networks does not pay off in shorter runs
MEMORY_NEEDED = 6 * 2**30  # bytes available; making full-size networks takes up to 4.3 GiB
_CGROUP = Path("/sys/fs/cgroup")  # the limits of a container on Linux


class Int8Upgrade:
    """The int8 networks of a run's model, which a process makes from photographs of the run.

    Args:
        options: Where the networks come from.
        names: The networks to make: ``detector``, ``classifier``.
        guard: Makes a guard with the finished networks; None if they are not worthwhile.

    Attributes:
        guard: See above.
    """

    def __init__(
        self,
        options: NetworkOptions,
        names: Collection[str],
        guard: Callable[[], Guard | None],
    ) -> None:
        self._options, self._names = options, names
        self.guard = guard
        self._making: Quantization | None = None
        self._is_started = False

    def start(self, paths: Sequence[str]) -> None:
        """Starts the process, once, unless it has too little memory."""
        if self._is_started:
            return
        self._is_started = True
        if (available := available_memory()) < MEMORY_NEEDED:
            logging.info(
                "This run does not make int8 networks: that needs %.0f GiB of memory, and %.1f GiB are "
                "available.",
                MEMORY_NEEDED / 2**30,
                available / 2**30,
            )
            return
        logging.info(
            "A low-priority process makes the %s in int8 from photographs of this run, which will "
            "use them when they are ready.",
            " and the ".join(self._names),
        )
        info, threads = self._options.model_info, self._options.threads
        try:
            self._making = quantize_in_background(info, self._names, paths, threads=threads)
        except (ModelError, OSError) as error:
            logging.warning("This run does not make int8 networks. %s", error)

    def is_ready(self) -> bool:
        """Whether the networks are finished; called before each image, from any thread."""
        making = self._making
        state = making.poll() if making else "running"
        if making and state == "failed":
            self._making = None
            logging.warning("This run continues without int8 networks. %s", making.reason)
        return state == "done"

    def stop(self) -> None:
        """Ends the process if the run ends first."""
        making, self._making = self._making, None
        if making and making.poll() == "running":
            making.stop()
            logging.info(
                "The run ended before its int8 networks were finished; a later long run can make them."
            )


def upgrade_for(
    options: NetworkOptions,
    names: Sequence[str],
    guard: Callable[[], Guard | None],
) -> Int8Upgrade | None:
    """The upgrade of a long run; None, with a line in the log, if it cannot be made.

    Args:
        options: Where the networks come from.
        names: The networks that would be faster in int8.
        guard: Makes a guard with the finished networks.
    """
    if not names:
        return None
    if not can_quantize():
        logging.info(
            'int8 is the fastest precision on this processor. Run pip install "speciesnet[int8]" to '
            "use it in later runs of at least %d photographs.",
            LONG_RUN,
        )
        return None
    return Int8Upgrade(options, names, guard)


def available_memory() -> int:
    """The bytes of memory that new processes can use, within the limit of a container."""
    import psutil  # a dependency of the extra int8

    available = psutil.virtual_memory().available
    with suppress(OSError, ValueError, StopIteration):  # no limit
        limit = int((_CGROUP / "memory.max").read_text())
        used = int((_CGROUP / "memory.current").read_text())
        lines = (_CGROUP / "memory.stat").read_text().splitlines()
        cached = next(int(line.split()[1]) for line in lines if line.startswith("inactive_file "))
        available = min(available, limit - used + cached)
    return available
