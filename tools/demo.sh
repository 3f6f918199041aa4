#!/bin/sh
# A short tour with our own client: ./dev demo
set -eu
cd "$(dirname "$0")/.."

say() { printf '\n\033[1m$ ./berth %s\033[0m\n' "$*"; }
berth() { say "$@"; ./berth "$@"; }

name=berth-demo-$$
trap './berth rm -f "$name" >/dev/null 2>&1 || true' EXIT

berth run --rm hello-world
berth version

if ! ./berth inspect --type image busybox >/dev/null 2>&1; then
  say "load < busybox.tar   (made from Debian's busybox-static)"
  PYTHONPATH=tests .venv/bin/python -c 'from harness.images import busybox_archive; busybox_archive("/tmp/berth-demo.tar")'
  ./berth load -q -i /tmp/berth-demo.tar
  rm -f /tmp/berth-demo.tar
fi

berth run -d --name "$name" -p 127.0.0.1::80 --memory 64m busybox sh -c \
  'httpd -h /var/www; n=0; while :; do n=$((n+1)); echo "line $n"; sleep 0.2; done'
berth exec "$name" ps
port=$(./berth port "$name" 80 | head -n 1 | sed 's/.*://')
printf '\n\033[1m$ fetch http://127.0.0.1:%s/\033[0m\n' "$port"
fetch="import urllib.request; print(urllib.request.urlopen('http://127.0.0.1:$port/').read().decode())"
.venv/bin/python -c "$fetch"

pid=$(cat /run/berth/berthd.pid)
printf '\n\033[1m$ kill -9 %s   (the daemon; the container neither stops nor loses a line)\033[0m\n' "$pid"
kill -9 "$pid"
.venv/bin/python -c "$fetch"
berth ps
berth logs --tail 3 "$name"
