"""The window: pages on this computer in which surveys are started, run, reviewed and handed over."""
