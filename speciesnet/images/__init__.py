"""Photographs and films: which ones, their pixels and their metadata."""
