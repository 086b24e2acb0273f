"""Embedded CRMs for the quickstart, the tests and an admin's rehearsal.

The sandbox plays a Salesforce org and a HubSpot portal over HTTP, as described in vendor documentation.
It may not import anything else of StageSync: a mistake shared with the product could not be seen.
"""
