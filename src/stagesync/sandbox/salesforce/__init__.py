"""An embedded Salesforce org: state in one SQLite file, the REST, OAuth and SOAP-login wire formats in front.

It imports nothing of StageSync outside ``stagesync.sandbox``: a mistake shared with the product would hide.
"""
