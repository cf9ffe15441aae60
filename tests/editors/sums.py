"""A bug in fixtures/sums, which the default model finds and mends."""

SUMS_LINE = 3  # counted from 1
SUMS_WRONG, SUMS_RIGHT = "return a + b", "return a - b"
SUMS_CLAIM = "this is wrong because"  # as each finding of a model without chat begins
