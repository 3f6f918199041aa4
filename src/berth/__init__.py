"""Berth: a container engine in Python that speaks the Docker Engine API.

The floors and the rules between them are in ``docs/architecture.md``; imports only point down.
"""

__version__ = "0.1.0"
