"""How the embedded demo model and its sample images are made (see ``build.py``)."""
