#!/bin/sh
# As the official image: options alone mean redis-server, which runs as redis and answers from anywhere.
set -e
if [ "${1#-}" != "$1" ] || [ "${1%.conf}" != "$1" ]; then
    set -- redis-server "$@"
fi
if [ "$1" = redis-server ]; then
    if [ "$#" -eq 1 ] || [ "${2#-}" != "$2" ]; then
        set -- "$@" --protected-mode no
    fi
    if [ "$(id -u)" = 0 ]; then
        find . \! -user redis -exec chown redis '{}' +
        exec setpriv --reuid redis --regid redis --init-groups -- "$@"
    fi
fi
exec "$@"
