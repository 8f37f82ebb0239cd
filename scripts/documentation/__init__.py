"""What the documentation site is made with: its pictures, and what mkdocs.yml cannot tell MkDocs."""
