"""Tools for the documentation site: its pictures, and hooks for what mkdocs.yml cannot express."""
