# Sourced by ./berth and ./dev: sets host_python to a Python that is new enough, or ends with what to do.
# With $yes empty a missing python3 is installed only after a question.

host_python=
for name in python3 python3.14 python3.13 python3.12 python3.11; do
  if command -v "$name" >/dev/null 2>&1 && "$name" -I -c 'import sys; sys.exit(sys.version_info < (3, 11))' 2>/dev/null; then
    host_python=$(command -v "$name")
    break
  fi
done

if [ -z "$host_python" ]; then
  echo "berth: Berth needs Python 3.11 or newer, and this machine has none in its PATH." >&2
  if [ "$(id -u)" != 0 ] || ! command -v apt-get >/dev/null 2>&1; then
    echo "berth: install it (Debian 12: apt-get install python3) and try again." >&2
    exit 1
  fi
  if [ -z "$yes" ]; then
    if [ ! -t 0 ]; then
      echo "berth: run again with --yes to install it: ./berth --yes ..." >&2
      exit 1
    fi
    printf 'berth: install python3 with apt-get now? [y/N] ' >&2
    read -r answer
    case $answer in [yY]*) ;; *) exit 1 ;; esac
  fi
  { apt-get update -q && apt-get install -q -y --no-install-recommends python3; } >&2 || exit 1
  host_python=$(command -v python3) || exit 1
fi
