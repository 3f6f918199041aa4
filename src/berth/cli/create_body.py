"""run's options → the create body that docker would send."""

from __future__ import annotations

import os

from berth.base.errors import InvalidArgument
from berth.cli import network_flags
from berth.spec.units import parse_bytes, parse_duration_ns

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Sequence
    from typing import Any

    from berth.cli.flags import Flags


def build(flags: Flags, image: str, command: list[str]) -> dict[str, Any]:
    """Raises: InvalidArgument naming the option and the value."""
    tty, interactive, detach = flags.on("tty"), flags.on("interactive"), _on(flags, "detach")
    attach = {a.lower() for a in flags.list_("attach")}
    for word in attach - {"stdin", "stdout", "stderr"}:
        raise InvalidArgument(f"valid streams are STDIN, STDOUT and STDERR, not {word}")
    if detach and attach:
        raise InvalidArgument("Conflicting options: -a and -d")
    attach_stdin = "stdin" in attach if attach else interactive and not detach
    body: dict[str, Any] = {
        "Hostname": flags.text("hostname"), "Domainname": flags.text("domainname"), "User": flags.text("user"),
        "AttachStdin": attach_stdin,
        "AttachStdout": "stdout" in attach if attach else not detach,
        "AttachStderr": "stderr" in attach if attach else not detach,
        "Tty": tty, "OpenStdin": interactive or attach_stdin, "StdinOnce": attach_stdin,
        "Env": _env(flags), "Cmd": command or None, "Image": image, "WorkingDir": flags.text("workdir"),
        "Labels": _labels(flags),
    }  # fmt: skip
    if flags.given("entrypoint"):
        body["Entrypoint"] = [flags.text("entrypoint")]
    if flags.given("stop-signal"):
        body["StopSignal"] = flags.text("stop-signal")
    if flags.given("stop-timeout"):
        body["StopTimeout"] = flags.number("stop-timeout")
    if flags.given("mac-address"):
        body["MacAddress"] = flags.text("mac-address")
    health = _health(flags)
    if health:
        body["Healthcheck"] = health
    exposed: dict[str, dict[str, Any]] = {}
    bindings: dict[str, list[dict[str, str]]] = {}
    if flags.list_("publish") or flags.list_("expose"):
        ports_of(flags.list_("publish"), exposed, bindings)
        _expose(flags.list_("expose"), exposed)
    if exposed:
        body["ExposedPorts"] = exposed
    binds, volumes = _volumes(flags)
    if volumes:
        body["Volumes"] = volumes
    body["HostConfig"] = _host_config(flags, bindings, binds)
    body["NetworkingConfig"] = {"EndpointsConfig": network_flags.endpoints(flags)}
    return body


def ports_of(
    texts: Sequence[str], exposed: dict[str, dict[str, Any]], bindings: dict[str, list[dict[str, str]]]
) -> None:
    """Every ``--publish`` of ``texts`` into ``ExposedPorts`` and ``PortBindings``. Raises: InvalidArgument."""
    from berth.spec.ports import ANY_PORT, parse_publish

    for text in texts:
        for port in parse_publish(text):
            exposed[port.key] = {}
            host_port = "" if port.host == ANY_PORT else str(port.host)
            binding = {"HostIp": port.host_ip, "HostPort": host_port}
            bindings.setdefault(port.key, []).append({**binding, "From": port.source} if port.source else binding)


def _expose(texts: Sequence[str], exposed: dict[str, dict[str, Any]]) -> None:
    from berth.spec.ports import parse_port

    for text in texts:
        inside, proto = parse_port(text)
        for number in range(inside.first, inside.last + 1):
            exposed[f"{number}/{proto}"] = {}


def _on(flags: Flags, name: str) -> bool:
    try:
        return flags.on(name)
    except KeyError:
        return False


def _env(flags: Flags) -> list[str]:
    env: list[str] = []
    for path in flags.list_("env-file"):
        env += read_env_file(path)
    for entry in flags.list_("env"):
        name, eq, _ = entry.partition("=")
        if not name:
            raise InvalidArgument(f"invalid environment variable: {entry}")
        if eq:
            env.append(entry)
        elif name in os.environ:
            env.append(f"{name}={os.environ[name]}")
        else:
            env.append(name)
    return env


def read_env_file(path: str) -> list[str]:
    """``NAME=value`` lines; ``NAME`` alone is taken from the environment. Raises: InvalidArgument."""
    found = []
    try:
        with open(path, encoding="utf-8-sig") as file:
            lines = file.read().splitlines()
    except OSError as err:
        raise InvalidArgument(f"open {path}: {os.strerror(err.errno or 0).lower()}") from err
    except UnicodeDecodeError as err:
        raise InvalidArgument(f"invalid env file ({path}): not UTF-8") from err
    for line in lines:
        text = line.lstrip()
        if not text or text.startswith("#"):
            continue
        name, eq, _ = text.partition("=")
        if not name:
            raise InvalidArgument(f"invalid env file ({path}): no variable name on line '{text}'")
        if " " in name or "\t" in name:
            raise InvalidArgument(f"invalid env file ({path}): variable '{name}' contains whitespaces")
        if eq:
            found.append(text)
        elif name in os.environ:
            found.append(f"{name}={os.environ[name]}")
    return found


def _labels(flags: Flags) -> dict[str, str]:
    labels: dict[str, str] = {}
    entries = []
    for path in flags.list_("label-file"):
        entries += read_env_file(path)
    for entry in [*entries, *flags.list_("label")]:
        key, _, value = entry.partition("=")
        labels[key] = value
    return labels


def _health(flags: Flags) -> dict[str, Any]:
    if flags.on("no-healthcheck"):
        if flags.given("health-cmd"):
            raise InvalidArgument("--no-healthcheck conflicts with --health-* options")
        return {"Test": ["NONE"]}
    health: dict[str, Any] = {}
    if flags.text("health-cmd"):
        health["Test"] = ["CMD-SHELL", flags.text("health-cmd")]
    for option, key in (("health-interval", "Interval"), ("health-timeout", "Timeout"),
                        ("health-start-period", "StartPeriod"), ("health-start-interval", "StartInterval")):  # fmt: skip
        if flags.given(option):
            health[key] = parse_duration_ns(flags.text(option), "--" + option)
    if flags.given("health-retries"):
        health["Retries"] = flags.number("health-retries")
    return health


def _volumes(flags: Flags) -> tuple[list[str], dict[str, dict[str, Any]]]:
    binds: list[str] = []
    volumes: dict[str, dict[str, Any]] = {}
    for text in flags.list_("volume"):
        if ":" not in text:
            volumes[text] = {}
            continue
        source, _, rest = text.partition(":")
        if source.startswith((".", "~")):
            source = os.path.abspath(os.path.expanduser(source))
        binds.append(f"{source}:{rest}")
    return binds, volumes


def _host_config(flags: Flags, bindings: dict[str, list[dict[str, str]]], binds: list[str]) -> dict[str, Any]:
    hc: dict[str, Any] = {
        "Binds": binds or None, "NetworkMode": network_flags.network_mode(flags), "PortBindings": bindings,
        "RestartPolicy": parse_restart(flags.text("restart")), "AutoRemove": flags.on("rm"),
        "CapAdd": flags.list_("cap-add") or None, "CapDrop": flags.list_("cap-drop") or None,
        "Dns": flags.list_("dns"), "DnsOptions": flags.list_("dns-option"), "DnsSearch": flags.list_("dns-search"),
        "ExtraHosts": [h.replace("=", ":", 1) if ":" not in h.split("=")[0] else h for h in flags.list_("add-host")],
        "GroupAdd": flags.list_("group-add") or None, "IpcMode": flags.text("ipc"), "PidMode": flags.text("pid"),
        "Privileged": flags.on("privileged"), "PublishAllPorts": flags.on("publish-all"),
        "ReadonlyRootfs": flags.on("read-only"), "SecurityOpt": _security(flags) or None,
        "UTSMode": flags.text("uts"), "UsernsMode": flags.text("userns"), "CgroupnsMode": flags.text("cgroupns"),
        "CgroupParent": flags.text("cgroup-parent"), "OomScoreAdj": flags.number("oom-score-adj"),
        "VolumesFrom": flags.list_("volumes-from") or None, "VolumeDriver": flags.text("volume-driver"),
        "Links": flags.list_("link") or None, "ContainerIDFile": flags.text("cidfile"),
        "LogConfig": {"Type": flags.text("log-driver"), "Config": _pairs(flags, "log-opt")},
        "CpuShares": flags.number("cpu-shares"), "CpuPeriod": flags.number("cpu-period"),
        "CpuQuota": flags.number("cpu-quota"), "CpuRealtimePeriod": flags.number("cpu-rt-period"),
        "CpuRealtimeRuntime": flags.number("cpu-rt-runtime"), "CpusetCpus": flags.text("cpuset-cpus"),
        "CpusetMems": flags.text("cpuset-mems"), "BlkioWeight": flags.number("blkio-weight"),
        "Devices": [_device(d) for d in flags.list_("device")],
        "DeviceCgroupRules": flags.list_("device-cgroup-rule") or None,
        "Ulimits": [_ulimit(u) for u in flags.list_("ulimit")], "ConsoleSize": [0, 0],
    }  # fmt: skip
    if flags.text("runtime"):
        hc["Runtime"] = flags.text("runtime")
    if flags.given("cpus"):
        hc["NanoCpus"] = round(float(flags.text("cpus")) * 1_000_000_000)
    for option, key in (("memory", "Memory"), ("memory-reservation", "MemoryReservation"),
                        ("memory-swap", "MemorySwap"), ("shm-size", "ShmSize")):  # fmt: skip
        if flags.given(option):
            text = flags.text(option)
            hc[key] = -1 if text == "-1" else parse_bytes(text, "--" + option)
    if flags.given("memory-swappiness"):
        hc["MemorySwappiness"] = flags.number("memory-swappiness")
    if flags.given("pids-limit"):
        hc["PidsLimit"] = flags.number("pids-limit")
    if flags.given("init"):
        hc["Init"] = flags.on("init")
    if flags.given("oom-kill-disable"):
        hc["OomKillDisable"] = flags.on("oom-kill-disable")
    for option, key in (("device-read-bps", "BlkioDeviceReadBps"), ("device-write-bps", "BlkioDeviceWriteBps"),
                        ("device-read-iops", "BlkioDeviceReadIOps"), ("device-write-iops", "BlkioDeviceWriteIOps")):  # fmt: skip
        if flags.list_(option):
            hc[key] = [_throttle(t, option) for t in flags.list_(option)]
    if flags.list_("tmpfs"):
        hc["Tmpfs"] = {t.partition(":")[0]: t.partition(":")[2] for t in flags.list_("tmpfs")}
    if flags.list_("sysctl"):
        hc["Sysctls"] = _pairs(flags, "sysctl")
    if flags.list_("storage-opt"):
        hc["StorageOpt"] = _pairs(flags, "storage-opt")
    if flags.list_("annotation"):
        hc["Annotations"] = _pairs(flags, "annotation")
    if flags.list_("mount"):
        hc["Mounts"] = [parse_mount(m) for m in flags.list_("mount")]
    if flags.on("rm") and hc["RestartPolicy"]["Name"] not in ("", "no"):
        raise InvalidArgument("conflicting options: cannot specify both --restart and --rm")
    return hc


def _pairs(flags: Flags, option: str) -> dict[str, str]:
    result = {}
    for entry in flags.list_(option):
        key, eq, value = entry.partition("=")
        if not eq and option == "log-opt":
            raise InvalidArgument(f"invalid logging opts format: {entry}: write key=value")
        result[key] = value
    return result


def parse_restart(text: str) -> dict[str, Any]:
    """``on-failure:3``. Raises: InvalidArgument."""
    name, colon, count = text.partition(":")
    if colon and not count.isdigit():
        raise InvalidArgument("invalid restart policy format: maximum retry count must be an integer")
    if colon and not name:
        raise InvalidArgument("invalid restart policy format: no policy provided before colon")
    return {"Name": name or "no", "MaximumRetryCount": int(count or 0)}


def _security(flags: Flags) -> list[str]:
    """``seccomp=FILE`` is read here: the engine cannot see the client's files."""
    result = []
    for opt in flags.list_("security-opt"):
        key, eq, value = opt.partition("=")
        if not eq and ":" in opt and key != "no-new-privileges":
            key, _, value = opt.partition(":")
        if key == "seccomp" and value not in ("unconfined", "builtin"):
            try:
                with open(value, encoding="utf-8") as file:
                    import json

                    opt = "seccomp=" + json.dumps(json.load(file), separators=(",", ":"))
            except OSError as err:
                raise InvalidArgument(
                    f"opening seccomp profile ({value}) failed: open {value}: {os.strerror(err.errno or 0).lower()}"
                ) from err
            except ValueError as err:
                raise InvalidArgument(f"compacting json for seccomp profile ({value}) failed: {err}") from err
        result.append(opt)
    return result


def _device(text: str) -> dict[str, str]:
    parts = text.split(":")
    if len(parts) > 3 or not parts[0]:
        raise InvalidArgument(f"invalid device specification: {text}")
    inside, mode = parts[0], "rwm"
    if len(parts) == 3:
        inside, mode = parts[1], parts[2]
    elif len(parts) == 2:
        if set(parts[1]) <= set("rwm") and parts[1]:
            mode = parts[1]
        else:
            inside = parts[1]
    if not mode or set(mode) - set("rwm"):
        raise InvalidArgument(f"invalid device mode: {mode}")
    return {"PathOnHost": parts[0], "PathInContainer": inside, "CgroupPermissions": mode}


def _throttle(text: str, option: str) -> dict[str, Any]:
    path, colon, rate = text.rpartition(":")
    if not colon or not path.startswith("/dev/"):
        raise InvalidArgument(f'invalid argument "{text}" for "--{option}" flag: bad format: write /dev/NAME:RATE')
    return {"Path": path, "Rate": parse_bytes(rate, "--" + option) if "bps" in option else int(rate)}


def _ulimit(text: str) -> dict[str, Any]:
    name, eq, limits = text.partition("=")
    soft, colon, hard = limits.partition(":")
    try:
        if not eq:
            raise ValueError
        return {"Name": name, "Soft": int(soft), "Hard": int(hard if colon else soft)}
    except ValueError:
        raise InvalidArgument(
            f'invalid argument "{text}" for "--ulimit" flag: invalid ulimit argument: {text}'
        ) from None


def parse_mount(text: str) -> dict[str, Any]:
    """``type=bind,source=/a,target=/b,readonly``. Raises: InvalidArgument."""
    mount: dict[str, Any] = {"Type": "volume"}
    import shlex

    words = next(iter(shlex.split(text.replace("\\", "\\\\"))), text) if '"' in text else text
    for field in words.split(","):
        key, eq, value = field.partition("=")
        key = key.strip().lower()
        flag_on = not eq or value.lower() in ("true", "1")
        if key == "type":
            mount["Type"] = value.lower()
        elif key in ("source", "src"):
            mount["Source"] = os.path.abspath(value) if value.startswith(".") else value
        elif key in ("target", "dst", "destination"):
            mount["Target"] = value
        elif key in ("readonly", "ro"):
            mount["ReadOnly"] = flag_on
        elif key == "bind-propagation":
            mount.setdefault("BindOptions", {})["Propagation"] = value
        elif key == "bind-recursive":
            options = mount.setdefault("BindOptions", {})
            options.update({"disabled": {"NonRecursive": True}, "readonly": {"ReadOnlyForceRecursive": True},
                            "writable": {"ReadOnlyNonRecursive": True}}.get(value, {}))  # fmt: skip
        elif key == "volume-nocopy":
            mount.setdefault("VolumeOptions", {})["NoCopy"] = flag_on
        elif key == "volume-driver":
            mount.setdefault("VolumeOptions", {})["DriverConfig"] = {"Name": value}
        elif key == "volume-label":
            label, _, text_value = value.partition("=")
            mount.setdefault("VolumeOptions", {}).setdefault("Labels", {})[label] = text_value
        elif key == "tmpfs-size":
            mount.setdefault("TmpfsOptions", {})["SizeBytes"] = parse_bytes(value, "--mount")
        elif key == "tmpfs-mode":
            mount.setdefault("TmpfsOptions", {})["Mode"] = int(value, 8)
        elif key == "consistency":
            continue
        else:
            raise InvalidArgument(
                f"invalid argument \"{text}\" for \"--mount\" flag: unexpected key '{key}' in '{field}'"
            )
    if not mount.get("Target"):
        raise InvalidArgument(f'invalid argument "{text}" for "--mount" flag: target is required')
    return mount
