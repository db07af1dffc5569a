"""`python -m dnslab`: the command line."""

from dnslab.cli import main

main()
