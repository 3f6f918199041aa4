"""The hosts of ``harness.lan`` for the tests here."""

from harness.lan import engine, lan

__all__ = ["engine", "lan"]
