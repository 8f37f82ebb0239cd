"""Command lines: flags in, one call, a readable error out."""
