#!/bin/bash
# Makes the data directory at the first start, runs /docker-entrypoint-initdb.d, and becomes the command.
# MARIADB_* and MYSQL_* are the same, as in the official image.
set -eo pipefail
datadir=/var/lib/mysql
socket=/run/mysqld/mysqld.sock

setting() { # NAME: the value of MARIADB_NAME or MYSQL_NAME, or of the file that ..._FILE names
    local prefix name file
    for prefix in MARIADB MYSQL; do
        name="${prefix}_$1" file="${prefix}_$1_FILE"
        if [ -n "${!name:-}" ]; then
            printf %s "${!name}"
            return
        elif [ -n "${!file:-}" ]; then
            cat "${!file}"
            return
        fi
    done
}

quoted() {
    local text=${1//\\/\\\\}
    printf "'%s'" "${text//\'/\\\'}"
}

ask() { mariadb --protocol=socket --socket="$socket" -uroot "$@"; }

run_scripts() {
    local file
    for file in /docker-entrypoint-initdb.d/*; do
        case "$file" in
            *.sh) echo "$0: running $file"; if [ -x "$file" ]; then "$file"; else . "$file"; fi ;;
            *.sql) echo "$0: running $file"; ask ${database:+"$database"} <"$file" ;;
            *.sql.gz) echo "$0: running $file"; gunzip -c "$file" | ask ${database:+"$database"} ;;
        esac
    done
}

make_data() {
    local root database user password server
    root=$(setting ROOT_PASSWORD) database=$(setting DATABASE) user=$(setting USER) password=$(setting PASSWORD)
    if [ -z "$root$(setting ALLOW_EMPTY_ROOT_PASSWORD)$(setting ALLOW_EMPTY_PASSWORD)$(setting RANDOM_ROOT_PASSWORD)" ]; then
        echo >&2 "[ERROR] [Entrypoint]: Database is uninitialized and password option is not specified"
        echo >&2 "    You need to specify one of MARIADB_ROOT_PASSWORD, MARIADB_ALLOW_EMPTY_ROOT_PASSWORD and MARIADB_RANDOM_ROOT_PASSWORD"
        exit 1
    fi
    if [ -z "$root" ] && [ -n "$(setting RANDOM_ROOT_PASSWORD)" ]; then
        root=$(od -An -N16 -tx1 /dev/urandom | tr -d ' \n')
        echo "GENERATED ROOT PASSWORD: $root"
    fi
    mariadb-install-db --datadir="$datadir" --auth-root-authentication-method=normal --skip-test-db >/dev/null
    mariadbd --skip-networking --socket="$socket" &
    server=$!
    for _ in $(seq 600); do
        if ask -e 'SELECT 1' >/dev/null 2>&1; then break; fi
        kill -0 "$server"
        sleep 0.1
    done
    if [ -n "$database" ]; then
        ask -e "CREATE DATABASE IF NOT EXISTS \`$database\`"
    fi
    if [ -n "$user" ]; then
        ask -e "CREATE USER $(quoted "$user")@'%' IDENTIFIED BY $(quoted "$password")"
        if [ -n "$database" ]; then
            ask -e "GRANT ALL ON \`${database//_/\\_}\`.* TO $(quoted "$user")@'%'"
        fi
    fi
    run_scripts
    ask -e "DELETE FROM mysql.global_priv WHERE User = 'root' AND Host <> 'localhost'; FLUSH PRIVILEGES;
            CREATE USER 'root'@'%' IDENTIFIED BY $(quoted "$root"); GRANT ALL ON *.* TO 'root'@'%' WITH GRANT OPTION;
            ALTER USER 'root'@'localhost' IDENTIFIED BY $(quoted "$root")"
    kill "$server"
    wait "$server"
    echo "[Note] [Entrypoint]: MariaDB init process done. Ready for start up."
}

if [ "${1:0:1}" = - ]; then
    set -- mariadbd "$@"
fi
if [ "$1" = mariadbd ] || [ "$1" = mysqld ]; then
    mkdir -p "$datadir" /run/mysqld
    if [ "$(id -u)" = 0 ]; then
        chown mysql:mysql "$datadir" /run/mysqld
        exec setpriv --reuid mysql --regid mysql --init-groups -- "$BASH_SOURCE" "$@"
    fi
    if [ ! -d "$datadir/mysql" ]; then
        make_data
    fi
fi
exec "$@"
