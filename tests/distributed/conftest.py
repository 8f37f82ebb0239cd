"""Buckets on this machine, shared with the tests of clouds."""

from __future__ import annotations

from cloud.conftest import make_bucket, s3_bucket, s3_port, s3_proxy

__all__ = ["make_bucket", "s3_bucket", "s3_port", "s3_proxy"]
