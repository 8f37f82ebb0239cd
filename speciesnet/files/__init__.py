"""Paths and URLs to bytes: disk, buckets, web; JSON lists longer than memory."""
