"""The command line: verbs, tables and a live display; no logic."""

from netwright.cli.app import main

__all__ = ["main"]
