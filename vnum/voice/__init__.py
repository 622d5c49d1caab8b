"""The embedded switch: a client of the HTTP contract that answers calls, asks where they go, bridges and reports them.

It imports nothing of the service, the store or the API: what it knows of vnum is what `contract.py` says.
"""
