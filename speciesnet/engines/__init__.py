"""Engines: what runs a network. Nothing outside this folder imports a deep-learning framework."""
