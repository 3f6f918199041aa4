"""What a container of the engine does with the first tree: dpkg installs every package, then what nobody needs goes."""

from __future__ import annotations

from berth.bootstrap.tree import PACKAGES

ENVIRONMENT = {
    "PATH": "/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin",
    "DEBIAN_FRONTEND": "noninteractive",
    "DEBCONF_NONINTERACTIVE_SEEN": "true",
    "LC_ALL": "C.UTF-8",
    "HOME": "/root",
    "TZ": "UTC",
}

INSTALL = f"""set -e
umask 022
for folder in /var/lib/dpkg/info /var/lib/dpkg/updates /var/lib/dpkg/alternatives /var/log; do mkdir -p $folder; done
touch /var/lib/dpkg/status /var/lib/dpkg/available
dpkg --force-depends --force-unsafe-io --install /{PACKAGES}/*.deb
dpkg --force-unsafe-io --configure --pending
unfinished=$(dpkg-query --show --showformat='${{db:Status-Abbrev}} ${{Package}}\\n' | grep -v '^ii ' || true)
test -z "$unfinished" || {{ echo "not installed: $unfinished"; exit 1; }}
dpkg --audit
rm -rf /{PACKAGES}
apt-get --version > /dev/null
"""
