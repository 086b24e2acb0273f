"""Tests import each other by their full name, ``tests.ledger.samples``, wherever they are started from."""
