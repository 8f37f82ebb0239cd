"""``python -m speciesnet.scripts.run_model``."""

from speciesnet.scripts.run_model import cli

if __name__ == "__main__":
    cli()
