"""From findings to changes, and the guard that may refuse them. No I/O, no clock."""
