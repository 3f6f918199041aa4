"""A small virtual machine for the tests that this machine's kernel or cgroups cannot serve: pure cgroup v2, systemd, AppArmor,
hugetlb, limits that may be raised, 802.1Q, ipvlan, SCTP, IPsec.

    base.img    Debian with its cloud kernel and systemd, made once by mmdebstrap (the cache folder)
    run-N/      of a run, N its process: src.img (this checkout, the packages of .venv and the test cache)
    console-N   the kernel's and systemd's words (a file in the cache folder); a day old it goes
    output      the tests' own words, on a second serial line, shown as they come

The guest boots with qemu's tcg (no KVM is needed), runs pytest with the words it is given and powers off. It has no network.
"""

from __future__ import annotations

import contextlib
import fcntl
import os
import shlex
import shutil
import signal
import subprocess
import sys
import time
from collections.abc import Iterator, Sequence
from pathlib import Path

HOME = Path(__file__).resolve().parent.parent
CACHE = Path(os.environ.get("BERTH_VM_CACHE", "/var/tmp/berth-vm"))
TEST_CACHE = Path(os.environ.get("BERTH_TEST_CACHE", "/var/tmp/berth-test-cache"))
MIRROR = "http://deb.debian.org/debian"
SUITES = {(3, 11): "bookworm", (3, 13): "trixie"}
"""The suite whose python3 can use what .venv holds."""

PACKAGES = (
    "linux-image-cloud-amd64", "systemd-sysv", "dbus", "libpam-systemd", "python3", "iproute2", "nftables", "kmod", "apparmor",
    "util-linux", "procps", "ca-certificates", "iptables", "e2fsprogs", "xfsprogs", "etcd-server", "criu",
)  # fmt: skip
HOST_PACKAGES = {"qemu-system-x86_64": "qemu-system-x86", "mmdebstrap": "mmdebstrap", "mke2fs": "e2fsprogs"}
MEMORY_MB = 3072
_PATIENT = "x-systemd.device-timeout=1800s"
"""Under load the guest needs more than systemd's 90 s to see its second disk."""
VERDICT = "berth-vm: pytest ended with "

_UNIT = """\
[Unit]
Description=The tests
After=basic.target dbus.service systemd-logind.service
[Service]
Type=oneshot
ExecStart=/bin/sh /src/run.sh
StandardOutput=tty
StandardError=tty
TTYPath=/dev/ttyS1
Delegate=yes
LimitNOFILE=524288
"""
_RUN = """\
cd /src/repo
export PYTHONPATH=/src/repo/src:/src/site BERTH_TEST_CACHE=/src/cache BERTH_TEST_DOCKER=/src/docker HOME=/root TERM=dumb
export PATH=/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin BERTH_TEST_VM=1 BERTH_TEST_PATIENCE=20
/usr/bin/python3 -m pytest -p no:cacheprovider -o timeout=1800 --color=no {words}
echo "{verdict}$?"
sync
systemctl poweroff --no-block
"""


class Unavailable(Exception):
    """A sentence that says what is missing."""


def run(words: Sequence[str]) -> int:
    """Boot, run pytest with ``words`` in the guest, show its output; returns pytest's status. Raises: Unavailable."""
    signal.signal(signal.SIGTERM, lambda *_: sys.exit(143))  # what is left is removed then as well
    CACHE.mkdir(parents=True, exist_ok=True)
    with open(CACHE / "lock", "w") as lock:
        fcntl.flock(lock, fcntl.LOCK_EX)  # two runs at once make one image
        _sweep()
        base = _ensure_base()
    with _source_image(words) as source:
        return _boot(base, source)


def _sweep() -> None:
    """What runs left that were killed, and yesterday's consoles."""
    for path in CACHE.glob("run-*"):
        if not Path(f"/proc/{path.name.removeprefix('run-')}").exists():
            shutil.rmtree(path, ignore_errors=True)
    for path in CACHE.glob("console-*"):
        if path.stat().st_mtime < time.time() - 86400:
            path.unlink()


def _ensure_base() -> Path:
    suite = SUITES.get(sys.version_info[:2])
    if suite is None or os.uname().machine != "x86_64":
        raise Unavailable(f"the virtual machine needs Python {' or '.join(f'{a}.{b}' for a, b in SUITES)} on x86_64")
    image = CACHE / f"base-{suite}.img"
    stamp = CACHE / f"base-{suite}.packages"
    wanted = " ".join(PACKAGES)
    if image.exists() and stamp.exists() and stamp.read_text() == wanted:
        return image
    print(f"vm: making a Debian {suite} with its cloud kernel in {CACHE} (about 150 MB to fetch, once)", flush=True)
    with _folder() as scratch:
        root = scratch / "root"
        _call("mmdebstrap", "--quiet", "--variant=minbase", f"--include={','.join(PACKAGES)}", suite, str(root), MIRROR)
        _furnish(root)
        for kind in ("vmlinuz", "initrd.img"):
            (CACHE / f"{kind}-{suite}").unlink(missing_ok=True)
            shutil.copyfile(next((root / "boot").glob(f"{kind}-*")), CACHE / f"{kind}-{suite}")
        _image(root, scratch / "base.img", size_mb=4096)
        (scratch / "base.img").rename(image)  # a guest that runs keeps the old one
    stamp.write_text(wanted)
    return image


def _furnish(root: Path) -> None:
    """What makes of a bare Debian the guest: where the source is mounted, what runs, nobody to log in."""
    (root / "etc/systemd/system/berth-tests.service").write_text(_UNIT)
    (root / "etc/fstab").write_text(f"/dev/vda / ext4 rw 0 1\n/dev/vdb /src ext4 rw,{_PATIENT} 0 2\n")
    (root / "etc/hostname").write_text("berth-vm\n")
    (root / "etc/resolv.conf").write_text("nameserver 127.0.0.1\n")
    (root / "src").mkdir()
    wants = root / "etc/systemd/system/multi-user.target.wants"
    wants.mkdir(exist_ok=True)
    (wants / "berth-tests.service").symlink_to("/etc/systemd/system/berth-tests.service")
    for unit in ("etcd.service", "apt-daily.timer", "apt-daily-upgrade.timer", "systemd-networkd-wait-online.service"):
        (root / "etc/systemd/system" / unit).unlink(missing_ok=True)
        (root / "etc/systemd/system" / unit).symlink_to("/dev/null")


@contextlib.contextmanager
def _folder() -> Iterator[Path]:
    path = CACHE / f"run-{os.getpid()}"
    path.mkdir()
    try:
        yield path
    finally:
        shutil.rmtree(path, ignore_errors=True)


@contextlib.contextmanager
def _source_image(words: Sequence[str]) -> Iterator[Path]:
    with _folder() as scratch:
        tree = scratch / "src"
        (tree / "repo").mkdir(parents=True)
        listed = _call("git", "ls-files", "-z", "--cached", "--others", "--exclude-standard", cwd=HOME).split("\0")
        for name in filter(None, listed):
            if (HOME / name).is_file():
                (tree / "repo" / name).parent.mkdir(parents=True, exist_ok=True)
                shutil.copy2(HOME / name, tree / "repo" / name)
        version = f"python{sys.version_info[0]}.{sys.version_info[1]}"
        shutil.copytree(HOME / ".venv/lib" / version / "site-packages", tree / "site", symlinks=True)
        _call(sys.executable, "-m", "compileall", "-q", "-j2", str(tree / "repo" / "src"), str(tree / "site"))
        (tree / "cache").mkdir()
        for path in TEST_CACHE.iterdir() if TEST_CACHE.exists() else ():
            if path.is_file():
                shutil.copy2(path, tree / "cache" / path.name)
        shutil.copy2(os.environ.get("BERTH_TEST_DOCKER") or shutil.which("docker") or "/bin/false", tree / "docker")
        (tree / "run.sh").write_text(_RUN.format(words=shlex.join(words), verdict=VERDICT))
        image = scratch / "src.img"
        _image(tree, image, size_mb=2048)
        shutil.rmtree(tree)
        yield image


def _image(tree: Path, image: Path, *, size_mb: int) -> None:
    image.unlink(missing_ok=True)
    _call("mke2fs", "-q", "-t", "ext4", "-d", str(tree), str(image), f"{size_mb}M")


def _boot(base: Path, source: Path) -> int:
    suite = base.stem.removeprefix("base-")
    console = CACHE / f"console-{os.getpid()}"  # several may run at once
    command = [
        "qemu-system-x86_64", "-accel", "tcg,thread=multi", "-cpu", "max", "-smp", "2", "-m", str(MEMORY_MB),
        "-nodefaults", "-no-reboot", "-display", "none", "-nic", "none",
        "-kernel", str(CACHE / f"vmlinuz-{suite}"), "-initrd", str(CACHE / f"initrd.img-{suite}"),
        "-append", "root=/dev/vda rw console=ttyS0 systemd.unified_cgroup_hierarchy=1 apparmor=1 security=apparmor "
                   "hugepages=16 systemd.show_status=0 quiet",
        "-drive", f"file={base},if=virtio,format=raw,snapshot=on", "-drive", f"file={source},if=virtio,format=raw",
        "-serial", f"file:{console}", "-serial", "stdio",
    ]  # fmt: skip
    print("vm: booting", flush=True)
    status = 1
    with subprocess.Popen(
        command, stdin=subprocess.DEVNULL, stdout=subprocess.PIPE, text=True, errors="replace"
    ) as guest:
        assert guest.stdout is not None
        try:
            for line in guest.stdout:
                if line.startswith(VERDICT):
                    status = int(line.removeprefix(VERDICT).strip() or 1)
                print(line.rstrip(), flush=True)
        finally:
            guest.terminate()  # it has ended, or we were told to
    if status:
        print(f"vm: the console's words are in {console}", flush=True)
    else:
        console.unlink(missing_ok=True)
    return status


def _call(*command: str, cwd: Path | None = None) -> str:
    """Raises: Unavailable with what the program said."""
    try:
        done = subprocess.run(command, capture_output=True, text=True, cwd=cwd)
    except OSError as err:
        raise Unavailable(f"{command[0]}: {err.strerror}") from err
    if done.returncode:
        raise Unavailable(f"{' '.join(command[:2])} failed: {done.stderr.strip()[-2000:]}")
    return done.stdout


if __name__ == "__main__":
    sys.exit(run(sys.argv[1:]))
