"""Requests to other people's servers: where they may go, and how long they may take."""
