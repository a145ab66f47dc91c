"""One file a command, named like it: `SUMMARY`, `arguments` and `run`. `parser.py` finds them."""
