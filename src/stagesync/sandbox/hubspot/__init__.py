"""An embedded HubSpot portal: the CRM APIs v3, v4, 2026-03 and 2026-09 over one SQLite file.

``portal`` holds the state and is what a company is seeded through; ``server.routes`` puts it on the wire.
Only the sandbox may be imported here, never the product: a shared mistake would be invisible.
"""
