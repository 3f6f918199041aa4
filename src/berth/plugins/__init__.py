"""Plugins: programs of others that an engine asks, by Docker's plugin protocol. Floor 3; networks use it, volumes may.

    discovery.py   where a plugin of a name is: sockets, .spec and .json files
    worker.py      ``Worker``: the thread that a plugin is asked on
    client.py      ``Plugin``: one plugin, activated, asked; ``Plugins``: all of them by name

    <sockets>/NAME.sock, <sockets>/NAME/NAME.sock     /run/docker/plugins
    <specs>/NAME.spec, NAME.json                      /etc/docker/plugins, /usr/lib/docker/plugins

A plugin is looked for when somebody names it, never before. Spec: Docker Engine plugin API.
"""
