"""run's options → the create body that docker would send."""

from __future__ import annotations

import os

from berth.base.errors import InvalidArgument
from berth.cli import network_flags, run_values
from berth.cli.command import Failed
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
    _check(flags)
    attach_stdin = "stdin" in attach if attach else interactive and not detach
    body: dict[str, Any] = {
        "Hostname": flags.text("hostname"), "Domainname": flags.text("domainname"), "User": flags.text("user"),
        "AttachStdin": attach_stdin,
        "AttachStdout": "stdout" in attach if attach else not detach,
        "AttachStderr": "stderr" in attach if attach else not detach,
        "Tty": tty, "OpenStdin": interactive, "StdinOnce": interactive and attach_stdin,
        "Env": _env(flags), "Cmd": command or None, "Image": image, "WorkingDir": flags.text("workdir"),
        "Labels": _labels(flags),
    }  # fmt: skip
    if flags.given("entrypoint"):
        body["Entrypoint"] = [flags.text("entrypoint")]
    if flags.given("stop-signal"):
        body["StopSignal"] = flags.text("stop-signal")
    if flags.given("stop-timeout"):
        body["StopTimeout"] = flags.number("stop-timeout")
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
        for port in parse_publish(_short_publish(text)):
            exposed[port.key] = {}
            host_port = "" if port.host == ANY_PORT else str(port.host)
            binding = {"HostIp": port.host_ip, "HostPort": host_port}
            bindings.setdefault(port.key, []).append({**binding, "From": port.source} if port.source else binding)


def _expose(texts: Sequence[str], exposed: dict[str, dict[str, Any]]) -> None:
    from berth.spec.ports import parse_port

    for text in texts:
        if ":" in text:
            raise InvalidArgument(f"invalid port format for --expose: {text}")
        try:
            inside, proto = parse_port(text)
        except InvalidArgument as err:
            raise InvalidArgument(f"invalid range format for --expose: {text}, error: {_why_no_range(text)}") from err
        for number in range(inside.first, inside.last + 1):
            exposed[f"{number}/{proto}"] = {}


def _short_publish(text: str) -> str:
    """``target=80,published=8080,protocol=udp`` as ``8080:80/udp``; anything else as it is."""
    fields = dict(field.partition("=")[::2] for field in text.split(","))
    if "target" not in fields:
        return text
    protocol = fields.get("protocol")
    return f"{fields.get('published', '')}:{fields['target']}" + (f"/{protocol}" if protocol else "")


def _why_no_range(text: str) -> str:
    words = text.partition("/")[0].split("-", 1)
    for word in words:
        if not (word.isascii() and word.isdigit()):
            return f'strconv.ParseUint: parsing "{word}": invalid syntax'
        if int(word) > 0xFFFF:
            return f'strconv.ParseUint: parsing "{word}": value out of range'
    return f"invalid range specified for port: {text}" if len(words) == 2 else f"invalid port specification: {text}"


def _check(flags: Flags) -> None:
    """What docker says of single options before it asks the engine. Raises: InvalidArgument."""
    for option in ("cpu-count", "cpu-percent", "io-maxbandwidth", "io-maxiops"):
        if flags.given(option):
            raise Failed(
                f'"--{option}" is only supported on a Docker daemon running on windows, but the Docker daemon is running on linux'
            )
    if _on(flags, "detach") and flags.list_("attach"):
        raise Failed("conflicting options: cannot specify both --attach and --detach")
    if flags.text("log-driver") == "none" and flags.list_("log-opt"):
        raise InvalidArgument("invalid logging opts for driver none")
    swappiness = flags.number("memory-swappiness")
    if swappiness != -1 and not 0 <= swappiness <= 100:
        raise InvalidArgument(f"invalid value: {swappiness}. Valid memory swappiness range is 0-100")
    mac = flags.text("mac-address")
    if mac and not _is_mac(mac):
        raise InvalidArgument(f"{mac} is not a valid mac address")
    for option, kind, words in (
        ("pid", "PID", ("host",)), ("uts", "UTS", ("host",)), ("userns", "USER", ("host",)),
        ("cgroupns", "CGROUP", ("host", "private")),
    ):  # fmt: skip
        text = flags.text(option)
        joined = option == "pid" and text.startswith("container:") and len(text) > len("container:")
        if text and text not in words and not joined:
            raise InvalidArgument(f"--{option}: invalid {kind} mode")


def _is_mac(text: str) -> bool:
    import re

    return (
        re.fullmatch(r"[0-9a-fA-F]{2}([:-])(?:[0-9a-fA-F]{2}\1){4}(?:[0-9a-fA-F]{2}\1){0,14}[0-9a-fA-F]{2}", text)
        is not None
    )


def _on(flags: Flags, name: str) -> bool:
    try:
        return flags.on(name)
    except KeyError:
        return False


def _env(flags: Flags) -> list[str]:
    env: list[str] = []
    for path in flags.list_("env-file"):
        env += read_env_file(path)
    given = {entry.partition("=")[0]: entry for entry in flags.list_("env")}
    for entry in given.values():
        name, eq, _ = entry.partition("=")
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


_HEALTH_TIMES = {"interval": "Interval", "timeout": "Timeout", "start-period": "StartPeriod",
                 "start-interval": "StartInterval"}  # fmt: skip


def _health(flags: Flags) -> dict[str, Any]:
    if flags.on("no-healthcheck"):
        if flags.given("health-cmd") or any(flags.given(f"health-{word}") for word in _HEALTH_TIMES):
            raise InvalidArgument("--no-healthcheck conflicts with --health-* options")
        return {"Test": ["NONE"]}
    health: dict[str, Any] = {}
    if flags.text("health-cmd"):
        health["Test"] = ["CMD-SHELL", flags.text("health-cmd")]
    for word, key in _HEALTH_TIMES.items():
        option = f"health-{word}"
        if flags.given(option):
            health[key] = parse_duration_ns(flags.text(option).removeprefix("-"), "--" + option)
            if flags.text(option).startswith("-"):
                raise InvalidArgument(f"--{option} cannot be negative")
    if flags.given("health-retries"):
        health["Retries"] = flags.number("health-retries")
        if health["Retries"] < 0:
            raise InvalidArgument("--health-retries cannot be negative")
    return health


def _volumes(flags: Flags) -> tuple[list[str], dict[str, dict[str, Any]]]:
    binds: list[str] = []
    volumes: dict[str, dict[str, Any]] = {}
    for text in flags.list_("volume"):
        words = text.split(":")
        if not text:
            raise InvalidArgument("invalid empty volume spec")
        if "" in words:
            raise InvalidArgument(f"invalid spec: {text}: empty section between colons")
        if len(words) == 1:
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
        "RestartPolicy": run_values.restart(flags.text("restart")), "AutoRemove": flags.on("rm"),
        "CapAdd": run_values.capabilities(flags.list_("cap-add")),
        "CapDrop": run_values.capabilities(flags.list_("cap-drop")),
        "Dns": flags.list_("dns"), "DnsOptions": flags.list_("dns-option"), "DnsSearch": flags.list_("dns-search"),
        "ExtraHosts": [run_values.extra_host(text) for text in flags.list_("add-host")] or None,
        "GroupAdd": flags.list_("group-add") or None, "IpcMode": flags.text("ipc"), "PidMode": flags.text("pid"),
        "Privileged": flags.on("privileged"), "PublishAllPorts": flags.on("publish-all"),
        "ReadonlyRootfs": flags.on("read-only"), "SecurityOpt": _security(flags) or None,
        "UTSMode": flags.text("uts"), "UsernsMode": flags.text("userns"), "CgroupnsMode": flags.text("cgroupns"),
        "CgroupParent": flags.text("cgroup-parent"), "OomScoreAdj": flags.number("oom-score-adj"),
        "VolumesFrom": flags.list_("volumes-from") or None, "VolumeDriver": flags.text("volume-driver"),
        "Links": flags.list_("link") or None, "ContainerIDFile": flags.text("cidfile"),
        "LogConfig": {"Type": flags.text("log-driver"), "Config": flags.pairs("log-opt")},
        "CpuShares": flags.number("cpu-shares"), "CpuPeriod": flags.number("cpu-period"),
        "CpuQuota": flags.number("cpu-quota"), "CpuRealtimePeriod": flags.number("cpu-rt-period"),
        "CpuRealtimeRuntime": flags.number("cpu-rt-runtime"), "CpusetCpus": flags.text("cpuset-cpus"),
        "CpusetMems": flags.text("cpuset-mems"), "BlkioWeight": flags.number("blkio-weight"),
        "Devices": [run_values.device(text) for text in flags.list_("device") if not _is_cdi(text)],
        "DeviceCgroupRules": flags.list_("device-cgroup-rule") or None,
        "Ulimits": _ulimits(flags), "ConsoleSize": [0, 0],
        "DeviceRequests": _requests(flags) or None, "Isolation": flags.text("isolation"),
        "BlkioWeightDevice": [run_values.device_weight(text) for text in flags.list_("blkio-weight-device")],
    }  # fmt: skip
    if flags.text("runtime"):
        hc["Runtime"] = flags.text("runtime")
    if flags.given("cpus"):
        hc["NanoCpus"] = run_values.cpus(flags.text("cpus"))
    for option, key in (("memory", "Memory"), ("memory-reservation", "MemoryReservation"),
                        ("memory-swap", "MemorySwap"), ("shm-size", "ShmSize"), ("kernel-memory", "KernelMemory")):  # fmt: skip
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
        parse = run_values.device_bps if "bps" in option else run_values.device_iops
        hc[key] = [parse(text) for text in flags.list_(option)]
    if flags.list_("tmpfs"):
        hc["Tmpfs"] = {t.partition(":")[0]: t.partition(":")[2] for t in flags.list_("tmpfs")}
    if flags.list_("sysctl"):
        hc["Sysctls"] = flags.pairs("sysctl")
    if flags.list_("storage-opt"):
        if not all("=" in entry for entry in flags.list_("storage-opt")):
            raise InvalidArgument("invalid storage option")
        hc["StorageOpt"] = flags.pairs("storage-opt")
    if flags.list_("annotation"):
        hc["Annotations"] = flags.pairs("annotation")
    if flags.list_("mount"):
        from berth.cli.run_mounts import parse_mount

        hc["Mounts"] = [parse_mount(text) for text in flags.list_("mount")]
    if flags.on("rm") and hc["RestartPolicy"]["Name"] not in ("", "no"):
        raise InvalidArgument("conflicting options: cannot specify both --restart and --rm")
    return hc


def _ulimits(flags: Flags) -> list[dict[str, Any]]:
    """Of two of one name the later one."""
    return list({limit["Name"]: limit for limit in map(run_values.ulimit, flags.list_("ulimit"))}.values())


def _is_cdi(text: str) -> bool:
    """``vendor.com/class=name``: a device by the name of the Container Device Interface."""
    return not text.startswith("/") and "/" in text and "=" in text


def _requests(flags: Flags) -> list[dict[str, Any]]:
    found = [run_values.gpus(text) for text in flags.list_("gpus")]
    names = [text for text in flags.list_("device") if _is_cdi(text)]
    if names:
        found.append({"Driver": "cdi", "Count": 0, "DeviceIDs": names, "Capabilities": None, "Options": None})
    return found


def _security(flags: Flags) -> list[str]:
    """``seccomp=FILE`` is read here: the engine cannot see the client's files."""
    result: list[str] = []
    for opt in flags.list_("security-opt"):
        key, eq, value = opt.partition("=")
        if not eq and opt != "no-new-privileges":
            key, eq, value = opt.partition(":")
            if not eq:
                raise InvalidArgument(f'Invalid --security-opt: "{opt}"')
        if key == "seccomp" and value.startswith("{"):
            opt = f"seccomp={value}"  # the profile itself, as inspect --as run tells it
        elif key == "seccomp" and value not in ("unconfined", "builtin"):
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
