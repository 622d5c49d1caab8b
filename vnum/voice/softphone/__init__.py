"""A SIP phone of the standard library, for trying a switch and for showing one; no part of a switch."""
