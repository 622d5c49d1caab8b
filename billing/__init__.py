"""Bills the rental and the calls of lent numbers, from the usage that a host schema supplies.

Usable alone: it imports nothing of its host. What it reads (three relations), what it owns (the ledger) and
what holds for every invoice are written in `migrations/0001_ledger.sql`. "Rule n" in a docstring is the
billing rule of that number in the table of rules, for example "billing rule 6.7" for rounding.
"""
