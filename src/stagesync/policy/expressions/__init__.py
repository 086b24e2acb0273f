"""Boolean expressions: a small, typed subset of SQL, read into our own tree before any record is seen."""

from stagesync.policy.expressions.parse import parse
from stagesync.policy.expressions.tokens import ExpressionError
from stagesync.policy.expressions.tree import Expression, names

__all__ = ["Expression", "ExpressionError", "names", "parse"]
