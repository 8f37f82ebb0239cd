"""``python -m speciesnet.scripts.run_model.py``, as in many instructions for SpeciesNet."""

from speciesnet.scripts.run_model import cli

if __name__ == "__main__":
    cli()
