"""Why billing refuses: one closed family, each with a stable code."""

from typing import ClassVar, Literal

Code = Literal[
    "period_invalid",
    "date_invalid",
    "period_not_over",
    "period_not_closed",
    "period_out_of_order",
    "merchant_not_found",
    "tariff_missing",
    "tariff_not_found",
    "tariff_invalid",
    "close_blocked",
    "invoice_not_found",
    "invoice_inconsistent",
    "dispute_not_found",
    "dispute_open",
    "dispute_resolved",
    "dispute_invalid",
    "note_not_found",
    "note_invalid",
    "note_exceeds_invoice",
    "statement_failed",
    "schema_invalid",
    "migration_changed",
    "migration_unknown",
]


class BillingRefusal(Exception):
    """An expected refusal. `code` is stable and meant for programs, `message` for people."""

    code: ClassVar[Code]

    def __init__(self, message: str) -> None:
        super().__init__(message)
        self.message = message


class PeriodInvalid(BillingRefusal):
    """A period is written YYYY-MM."""

    code = "period_invalid"


class DateInvalid(BillingRefusal):
    """A date, or a span of dates, that nobody can be billed for or shown at once."""

    code = "date_invalid"


class PeriodNotOver(BillingRefusal):
    """A month is closed after its last instant, never before."""

    code = "period_not_over"


class PeriodNotClosed(BillingRefusal):
    """A month is exported once it is closed; before, a file of it would say that nothing is owed."""

    code = "period_not_closed"


class PeriodOutOfOrder(BillingRefusal):
    """A merchant's months close one after the other."""

    code = "period_out_of_order"


class MerchantNotFound(BillingRefusal):
    """No such merchant in `usage_accounts`."""

    code = "merchant_not_found"


class TariffMissing(BillingRefusal):
    """No tariff version is in force at an instant that has to be priced."""

    code = "tariff_missing"


class TariffNotFound(BillingRefusal):
    """A merchant is to pay a tariff that has no version in force at that instant."""

    code = "tariff_not_found"


class TariffInvalid(BillingRefusal):
    """A new tariff version has problems; the message lists them all."""

    code = "tariff_invalid"


class CloseBlocked(BillingRefusal):
    """Something older than the close did not end in time; nothing is lost, the close can be repeated."""

    code = "close_blocked"


class InvoiceNotFound(BillingRefusal):
    """No invoice has this number."""

    code = "invoice_not_found"


class InvoiceInconsistent(BillingRefusal):
    """Details, lines and total do not agree (billing rule 6.8); the message lists every difference."""

    code = "invoice_inconsistent"


class DisputeNotFound(BillingRefusal):
    """No dispute has this id."""

    code = "dispute_not_found"


class DisputeOpen(BillingRefusal):
    """A call has at most one open dispute."""

    code = "dispute_open"


class DisputeResolved(BillingRefusal):
    """A dispute is resolved once."""

    code = "dispute_resolved"


class DisputeInvalid(BillingRefusal):
    """An outcome that does not go together with the rest of the answer."""

    code = "dispute_invalid"


class NoteNotFound(BillingRefusal):
    """No note has this number."""

    code = "note_not_found"


class NoteInvalid(BillingRefusal):
    """A note can not be issued as it is asked for; the message lists every problem."""

    code = "note_invalid"


class NoteExceedsInvoice(BillingRefusal):
    """Credits would come to more than what was charged: the invoice, or the one call or binding, and the debits."""

    code = "note_exceeds_invoice"


class StatementFailed(BillingRefusal):
    """The typesetter ended without a file; the ledger is untouched, the export can be repeated."""

    code = "statement_failed"


class SchemaInvalid(BillingRefusal):
    """A schema's name is a lower-case identifier of at most 63 characters."""

    code = "schema_invalid"


class MigrationChanged(BillingRefusal):
    """A migration that was applied reads differently now."""

    code = "migration_changed"


class MigrationUnknown(BillingRefusal):
    """The database was migrated by a newer release than this one."""

    code = "migration_unknown"
