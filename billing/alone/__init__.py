"""Billing without a server: usage out of files, priced by the same models, into invoices and detail rows as files.

    reading    CSV or JSON lines -> bindings and calls, or what is wrong with a row
    gathering  what stands twice counts once; then by month and merchant, in the order of a bill
    terms      the tariffs file
    month      one merchant's month: its lines, its details (pure)
    run        months in order, numbers, carried differences
    writing    the files
    command    `python -m billing`

Memory does not grow with the files: `sorting` keeps rows in runs on disk. What is kept per merchant is what his last
invoice carried over.
"""
