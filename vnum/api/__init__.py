"""The HTTP API, one noun a file. It decodes, asks a service, and encodes; rules live in the services."""
