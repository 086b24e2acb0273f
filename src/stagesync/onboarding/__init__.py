"""The first day with an org: a configuration made from what the org has, and a configuration checked against it.

Reads only: it holds a :class:`~stagesync.connectors.base.Discovery`, and knows no CRM by name.
"""
