"""Lines of predictions files."""

from __future__ import annotations

import pytest

from speciesnet.predictions.layout import encode_record, split_line


@pytest.mark.parametrize("number", [2**64, -(2**63) - 1, 10**30, 0.00012345678901234567, 12])
def test_numbers_of_any_size_stay_exact(number: float) -> None:
    line = encode_record({"filepath": "a.jpg", "number": number})
    record, own = split_line(line + b",\n")
    assert own == line
    assert repr(record) == repr({"filepath": "a.jpg", "number": number})
