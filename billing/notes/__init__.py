"""Credit and debit notes: how a closed invoice is put right, since it never changes (billing rules 6.6, 6.13).

`issue` makes a note by hand, `rerate` rates a closed month anew and notes the differences; `ledger` writes and reads.
"""
