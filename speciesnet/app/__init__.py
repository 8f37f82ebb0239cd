"""The window: pages on this computer in which surveys are begun, run, reviewed and handed over."""
