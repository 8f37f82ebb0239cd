"""A finished survey: sequences, corrections and the photographs on disk."""
