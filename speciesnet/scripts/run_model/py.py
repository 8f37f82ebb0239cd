"""``python -m speciesnet.scripts.run_model.py``, as many instructions for SpeciesNet write it."""

from speciesnet.scripts.run_model import cli

if __name__ == "__main__":
    cli()
