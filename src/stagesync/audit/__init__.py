"""Judges records against definitions: a pure function of tables, definitions and a moment. No I/O, no clock."""
