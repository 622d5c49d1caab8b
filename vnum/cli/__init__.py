"""The command line: one file a noun, each a thin layer over the use cases."""

import click

from vnum.cli.answer import answer
from vnum.cli.audit import audit
from vnum.cli.bills import bills
from vnum.cli.blacklist import blacklist
from vnum.cli.call import call
from vnum.cli.callers import callers
from vnum.cli.calls import calls
from vnum.cli.clock import clock
from vnum.cli.demo import demo
from vnum.cli.disputes import disputes
from vnum.cli.doctor import doctor
from vnum.cli.hosts import hosts
from vnum.cli.invoices import invoice
from vnum.cli.keys import keys
from vnum.cli.migrate import migrate
from vnum.cli.notes import note, notes, rerate
from vnum.cli.opt_outs import opt_out
from vnum.cli.pool import pool
from vnum.cli.reconcile import reconcile
from vnum.cli.records import records
from vnum.cli.replay import replay, sample
from vnum.cli.retention import retention
from vnum.cli.reviews import decide, reviews
from vnum.cli.serve import serve
from vnum.cli.subjects import subject
from vnum.cli.switch import switch
from vnum.cli.tariffs import tariff
from vnum.cli.usage import usage
from vnum.cli.webhooks import webhooks


@click.group(context_settings={"help_option_names": ["-h", "--help"]})
@click.version_option(package_name="vnum")
def main() -> None:
    """Lends out virtual phone numbers and bills their use.

    Settings come from VNUM_ environment variables; without any, vnum starts its own PostgreSQL and Valkey in a
    data folder. `vnum doctor` says what is used and what is wrong.
    """


records.add_command(reviews)
records.add_command(decide)
for command in (note, notes, rerate):
    invoice.add_command(command)
for command in (
    serve,
    switch,
    call,
    answer,
    replay,
    demo,
    sample,
    hosts,
    pool,
    records,
    reconcile,
    calls,
    disputes,
    invoice,
    tariff,
    bills,
    usage,
    callers,
    blacklist,
    opt_out,
    webhooks,
    keys,
    audit,
    retention,
    subject,
    clock,
    doctor,
    migrate,
):
    main.add_command(command)
