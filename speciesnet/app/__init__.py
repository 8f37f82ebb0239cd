"""The window: local web pages for starting, running, reviewing and exporting surveys."""
