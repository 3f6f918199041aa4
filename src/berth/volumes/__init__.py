"""Volumes: ``<data-root>/volumes/<name>/_data`` by the local driver, one row each in ``volumes``.

Who uses a volume is not stored: the engine derives it from its containers.
"""
