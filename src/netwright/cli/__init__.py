"""The command line: verbs, tables and a live display, without logic of its own."""

from netwright.cli.app import main

__all__ = ["main"]
