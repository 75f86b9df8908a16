"""The ``fabric`` command: a module per group of sub-commands, each with ``register(groups)``."""
