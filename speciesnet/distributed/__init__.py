"""Runs on many machines: lists too long for memory, shards of records, Ray, and their merging."""
