"""``python -m speciesnet``."""

from speciesnet.scripts.commands import cli

if __name__ == "__main__":
    cli()
