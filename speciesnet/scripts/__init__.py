"""The commands, one per module, and what they share.

``commands`` lists the commands and dispatches ``speciesnet COMMAND``. The other modules are helpers:
``console`` (parsing, help, log, errors, signals), ``flags`` (the shared flags), ``inputs`` and
``outputs`` (files on a disk, in a bucket or on the web), ``planning`` (``--dry_run``) and ``summary``
(what a run prints at the end).
"""
