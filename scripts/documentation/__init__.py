"""What the documentation site is made with: its pictures, and what MkDocs is told beside mkdocs.yml."""
