"""The command line: one thin function per verb. Nothing heavy is imported before a command runs."""

from dermsynth.cli.app import main

__all__ = ["main"]
