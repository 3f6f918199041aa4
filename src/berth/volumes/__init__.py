"""Volumes: ``<data-root>/volumes/<name>/_data`` by the local driver, one row each in ``volumes``.

With options of mount(8)'s it stands mounted while a container that uses it runs. Who uses a volume is not stored: the engine
derives it from its containers.
"""
