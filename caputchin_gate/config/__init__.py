"""Settings, from what was typed to what is used.

settings/         every key: its name, values, default, meaning
schema.py         the same for editors
tables.py         reads a table with them; provider_tables.py and route_tables.py those of their kind
configuration.py  reads all, and finds what only shows when tables are seen together (site_problems.py)
sources.py        puts together what the command line, the environment (environment.py) and the file say
gate_file.py      reads a file, whatever it is; toml_places.py knows where in it a key stands
"""

from caputchin_gate.config.configuration import NOTHING_PROTECTED, Configuration, read, with_marked

__all__ = ["NOTHING_PROTECTED", "Configuration", "read", "with_marked"]
