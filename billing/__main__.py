"""`python -m billing`."""

from billing.alone.command import main

if __name__ == "__main__":
    main(prog_name="python -m billing")
