"""Model packages: names, downloads and the files in them."""
