"""The files that finance takes home, one format a file.

An export raises InvoiceInconsistent when an invoice and its details differ: what was written until then is to be thrown
away. Each is an async generator of bytes; close it when it is left early.
"""

from billing.export.cells import DETAIL_COLUMNS, detail_cells, harmless
from billing.export.csv import export_csv
from billing.export.fapiao import export_fapiao
from billing.export.heads import bill_head, draft_head, invoice_head, note_head
from billing.export.issuer import FAPIAO_ITEM, Issuer
from billing.export.json import export_json
from billing.export.note import export_note
from billing.export.reading import Progress
from billing.export.statement import export_statement
from billing.export.xlsx import export_xlsx

__all__ = [
    "DETAIL_COLUMNS",
    "FAPIAO_ITEM",
    "Issuer",
    "Progress",
    "bill_head",
    "detail_cells",
    "draft_head",
    "export_csv",
    "export_fapiao",
    "export_json",
    "export_note",
    "export_statement",
    "export_xlsx",
    "harmless",
    "invoice_head",
    "note_head",
]
