"""One real call on this machine, from a label to an invoice, for people to watch."""
