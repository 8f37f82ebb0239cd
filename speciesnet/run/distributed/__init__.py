"""Runs on many machines: lists too long for memory, Ray, shards of records, and merging."""
