#!/bin/sh
# Runs what lies in /docker-entrypoint.d, fills in templates, and becomes the command.
set -e
if [ "$1" = nginx ]; then
    templates=${NGINX_ENVSUBST_TEMPLATE_DIR:-/etc/nginx/templates}
    output=${NGINX_ENVSUBST_OUTPUT_DIR:-/etc/nginx/conf.d}
    if [ -d "$templates" ]; then
        names=$(env | sed -n 's/^\([A-Za-z_][A-Za-z0-9_]*\)=.*/${\1}/p' | tr '\n' ' ')
        for template in "$templates"/*.template; do
            [ -e "$template" ] || continue
            envsubst "$names" <"$template" >"$output/$(basename "$template" .template)"
        done
    fi
    for script in /docker-entrypoint.d/*.sh; do
        [ -x "$script" ] || continue
        echo "$0: Launching $script"
        "$script"
    done
    echo "$0: Configuration complete; ready for start up"
fi
exec "$@"
