"""`python -m vnum.cli`, as `vnum`."""

from vnum.cli import main

main()
