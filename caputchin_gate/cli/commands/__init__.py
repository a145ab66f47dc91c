"""One file a command, named like it: what `Command` in `parser.py` asks for. Nothing lists them."""
