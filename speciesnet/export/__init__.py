"""Predictions in formats that other programs read."""
