"""Command line and daemon.json → ``Settings``. A setting given both ways is refused, as dockerd does."""

from __future__ import annotations

import argparse
import ipaddress
import json
import os
import platform
import re
from typing import Any

import berth
from berth.base.errors import InvalidArgument
from berth.daemon.settings import (
    BY_FLAG,
    BY_KEY,
    DOCKER_FILE,
    DOCKERS_OWN_KEYS,
    FILE_KEYS,
    OWN_FILE,
    SETTINGS,
    Setting,
    Settings,
)
from berth.spec.units import parse_bytes

_LEVELS = ("debug", "info", "warn", "error", "fatal")


def load(argv: list[str]) -> Settings:
    """Flags and file merged over the defaults. Raises: InvalidArgument naming the flag, key and value."""
    flags, config_file = parse_flags(argv)
    validate = flags.pop("validate", False)
    path, strict = _choose_file(config_file)
    settings = merge(flags, path, strict)
    settings["validate"] = validate
    return settings


def reread(settings: Settings) -> Settings:
    """The same command line with what the file says now. Raises: InvalidArgument."""
    path, strict = settings.path, settings.strict
    if path is None:
        path, strict = _choose_file(None)
    fresh = merge(settings.by_flag, path, strict)
    fresh["validate"] = False
    return fresh


def merge(flags: dict[str, Any], path: str | None, strict: bool) -> Settings:
    """Raises: InvalidArgument, also for what is in both."""
    from_file, ignored = _read_file(path, strict) if path else ({}, [])
    both = sorted(set(flags) & set(from_file))
    if both:
        pairs = ", ".join(f"{f}: (from flag: {as_text(flags[f])}, from file: {as_text(from_file[f])})" for f in both)
        raise _bad_file(
            path, f"the following directives are specified both as a flag and in the configuration file: {pairs}"
        )
    settings = Settings({s.flag: s.default for s in SETTINGS})
    settings.update(from_file)
    settings.update(flags)
    settings.given = frozenset(flags) | frozenset(from_file)
    settings.by_flag, settings.path, settings.strict = dict(flags), path, strict
    settings.ignored = (*ignored, *(f"features.{name}: nothing here depends on it" for name in settings["feature"]))
    _check(settings)
    return settings


def parse_flags(argv: list[str]) -> tuple[dict[str, Any], str | None]:
    """Flags that were given, and ``--config-file``. Exits 0 for --help and --version. Raises: InvalidArgument."""
    parser = argparse.ArgumentParser(
        prog="berthd", allow_abbrev=False, description="A self-sufficient runtime for containers.",
        argument_default=argparse.SUPPRESS, usage="berthd [OPTIONS]",
    )  # fmt: skip
    parser.error = _refuse  # type: ignore[method-assign]
    parser.add_argument("-v", "--version", action="version", version=f"Berth version {berth.__version__}")
    parser.add_argument("--config-file", dest="config-file", help="Daemon configuration file")
    parser.add_argument("--validate", action="store_true", help="Validate daemon configuration and exit")
    for s in SETTINGS:
        names = [f"--{s.flag}"] + ([f"-{s.short}"] if s.short else [])
        if s.kind == "bool":
            parser.add_argument(*names, dest=s.flag, nargs="?", const=True, type=_bool, help=s.help)
        elif s.kind in ("list", "map", "options", "ulimits", "runtimes"):
            parser.add_argument(*names, dest=s.flag, action="append", help=s.help)
        else:
            parser.add_argument(*names, dest=s.flag, type=int if s.kind == "int" else str, help=s.help)
    given = vars(parser.parse_args(argv))
    for flag, value in given.items():
        kind = BY_FLAG[flag].kind if flag in BY_FLAG else ""
        if kind in ("map", "runtimes"):
            given[flag] = dict(_pair(entry, flag) for entry in value)
            if kind == "runtimes":
                given[flag] = {name: {"path": path} for name, path in given[flag].items()}
        elif kind == "options":
            given[flag] = _options(value, flag)
        elif kind == "size":
            given[flag] = _size(value, f"--{flag}")
    return given, given.pop("config-file", None)


def _refuse(message: str) -> Any:
    raise InvalidArgument(f"{message}\nSee 'berthd --help'.")


def _bool(text: str) -> bool:
    if text.lower() in ("1", "t", "true"):
        return True
    if text.lower() in ("0", "f", "false"):
        return False
    raise argparse.ArgumentTypeError(f"invalid boolean value {text!r}")


def _pair(entry: str, flag: str) -> tuple[str, str]:
    key, eq, value = entry.partition("=")
    if not eq:
        raise InvalidArgument(f"invalid argument {entry!r} for --{flag}: write key=value")
    return key, value


def _options(entries: list[str], flag: str) -> dict[str, dict[str, str]]:
    found: dict[str, dict[str, str]] = {}
    for entry in entries:
        driver, rest = _pair(entry, flag)
        option, value = _pair(rest, flag)
        found.setdefault(driver, {})[option] = value
    return found


def _size(text: Any, where: str) -> int:
    if isinstance(text, int) and not isinstance(text, bool):
        return text
    return parse_bytes(str(text), where)


# --- the file


def _choose_file(asked: str | None) -> tuple[str | None, bool]:
    """The file to read, and whether its every key must be known (Docker's own file may say things that are Docker's)."""
    if asked is not None:
        if not os.path.exists(asked):
            raise _bad_file(asked, f"open {asked}: no such file or directory")
        return asked, True
    if os.path.exists(OWN_FILE):
        return OWN_FILE, True
    if os.path.exists(DOCKER_FILE):
        return DOCKER_FILE, False
    return None, True


def _bad_file(path: str | None, what: str) -> InvalidArgument:
    return InvalidArgument(f"unable to configure the Docker daemon with file {path}: {what}")


def _read_file(path: str, strict: bool) -> tuple[dict[str, Any], list[str]]:
    try:
        with open(path, encoding="utf-8-sig") as file:
            text = file.read()
        document = json.loads(text) if text.strip() else {}
    except (OSError, ValueError) as err:
        raise _bad_file(path, str(err)) from err
    if not isinstance(document, dict):
        raise _bad_file(path, "it must be a JSON object")
    document |= _proxies(document.pop("proxies", {}), path)
    _rename_old_keys(document, path)
    ignored = []
    if not strict:
        for key in list(document):
            why = _why_ignored(key, document[key], path)
            if why:
                ignored.append(f"{key}: {why}")
                del document[key]
    ignored += _without_flag(document, path)
    unknown = sorted(set(document) - set(BY_KEY))
    if unknown:
        raise _bad_file(path, f"the following directives don't match any configuration option: {', '.join(unknown)}")
    return {BY_KEY[key].flag: _typed(BY_KEY[key], value, path) for key, value in document.items()}, ignored


def _proxies(raw: object, path: str) -> dict[str, Any]:
    """dockerd's file has the proxies' flags in an object of their own. Raises: InvalidArgument."""
    if not isinstance(raw, dict):
        raise _bad_file(path, f"proxies must be a map, not {raw!r}")
    unknown = sorted(set(raw) - {"http-proxy", "https-proxy", "no-proxy"})
    if unknown:
        raise _bad_file(path, f"the following directives don't match any configuration option: {', '.join(unknown)}")
    return raw


def _rename_old_keys(document: dict[str, Any], path: str) -> None:
    """``host-gateway-ip`` held one address, before there was IPv6. Raises: InvalidArgument."""
    if "host-gateway-ip" not in document:
        return
    if "host-gateway-ips" in document:
        raise _bad_file(path, "host-gateway-ip and host-gateway-ips must not both be specified in the config file")
    address = document.pop("host-gateway-ip")
    document["host-gateway-ips"] = [address] if address else []


def _without_flag(document: dict[str, Any], path: str) -> list[str]:
    """Take the keys out that no flag has; what there is to say of them. Raises: InvalidArgument."""
    told = []
    for key in [key for key in document if key in FILE_KEYS]:
        value, known = document.pop(key), FILE_KEYS[key]
        if known.ignored:
            told.append(f"{key}: {known.reason}")
        elif value not in known.inert:
            raise InvalidArgument(f"{key} in {path}: {as_text(value)} is not supported: {known.reason}")
    return told


def _why_ignored(key: str, value: Any, path: str) -> str:
    """Why a key of Docker's own file does not hold here; "" when it does."""
    setting = BY_KEY.get(key)
    if key in DOCKERS_OWN_KEYS:
        return "it names a place of Docker's"
    if key in FILE_KEYS:
        return "" if value in FILE_KEYS[key].inert else FILE_KEYS[key].reason
    if setting is None:
        return "it is unknown here"
    if setting.reason and _typed(setting, value, path) not in (setting.default, *setting.accepts):
        return setting.reason
    return ""


_TYPES: dict[str, type] = {
    "str": str, "bool": bool, "int": int, "list": list, "map": dict, "options": dict, "ulimits": dict, "runtimes": dict,
}  # fmt: skip


def _typed(setting: Setting, value: Any, path: str) -> Any:
    """The value as the flag would give it. Raises: InvalidArgument."""
    if setting.kind == "size":
        return _size(value, f"{setting.key} in {path}")
    fits = isinstance(value, _TYPES[setting.kind])
    if not fits or (setting.kind == "int" and isinstance(value, bool)):
        wanted = {"ulimits": "map", "runtimes": "map", "options": "map"}.get(setting.kind, setting.kind)
        raise _bad_file(path, f"{setting.key} must be a {wanted}, not {value!r}")
    if setting.kind == "list" and not all(isinstance(v, str | dict) for v in value):
        raise _bad_file(path, f"{setting.key} must be a list of strings, not {value!r}")
    if setting.kind == "ulimits":
        return [_ulimit(name, entry, path) for name, entry in value.items()]
    if setting.kind == "options":
        if not all(isinstance(options, dict) for options in value.values()):
            raise _bad_file(path, f"{setting.key} must be a map of maps, not {value!r}")
        return {driver: {str(k): str(v) for k, v in options.items()} for driver, options in value.items()}
    if setting.kind == "runtimes":
        return {name: _runtime(name, entry, path) for name, entry in value.items()}
    return value


def _ulimit(name: str, entry: Any, path: str) -> str:
    try:
        return f"{entry.get('Name', name)}={int(entry['Soft'])}:{int(entry['Hard'])}"
    except (AttributeError, KeyError, TypeError, ValueError):
        raise _bad_file(path, f'default-ulimits.{name} must be {{"Name": ..., "Soft": ..., "Hard": ...}}') from None


def _runtime(name: str, entry: Any, path: str) -> dict[str, Any]:
    if not isinstance(entry, dict) or not entry.get("path") or not isinstance(entry["path"], str):
        raise _bad_file(
            path, f'runtimes.{name} must be {{"path": "..."}}: a runtime is a program with runc\'s command line'
        )
    unknown = sorted(set(entry) - {"path", "runtimeArgs"})
    if unknown:
        raise _bad_file(path, f"runtimes.{name}: {', '.join(unknown)} is not supported: there are path and runtimeArgs")
    args = entry.get("runtimeArgs") or []
    if not isinstance(args, list) or not all(isinstance(a, str) for a in args):
        raise _bad_file(path, f"runtimes.{name}.runtimeArgs must be a list of strings, not {args!r}")
    return {"path": entry["path"], "runtimeArgs": args}


def as_text(value: Any) -> str:
    """As Go prints it: dockerd's sentence shows values so."""
    if isinstance(value, bool):
        return "true" if value else "false"
    if isinstance(value, list):
        return "[" + " ".join(as_text(v) for v in value) + "]"
    if isinstance(value, dict):
        return "map[" + " ".join(f"{k}:{as_text(v)}" for k, v in sorted(value.items())) + "]"
    return str(value)


def reload_attributes(settings: Settings) -> dict[str, str]:
    """Attributes of the event ``daemon reload``, each in dockerd's own form."""
    found = {"name": platform.node()}
    for setting in [s for s in SETTINGS if s.reload and not s.reason]:
        value = settings[setting.flag]
        if setting.kind == "list":
            found[setting.key] = json.dumps(value, separators=(",", ":"))
        elif setting.kind == "runtimes":
            found[setting.key] = " ".join(f"{name}:{entry['path']}" for name, entry in value.items())
        else:
            found[setting.key] = as_text(value)
    return found


# --- what is in itself right


def _check(settings: Settings) -> None:
    for setting in SETTINGS:
        value = settings[setting.flag]
        if setting.reason and setting.flag in settings.given and value not in (setting.default, *setting.accepts):
            raise InvalidArgument(f"{_name(settings, setting)}: {as_text(value)} is not supported: {setting.reason}")
    _check_places(settings)
    _check_addresses(settings)
    _check_words(settings)
    _check_numbers(settings)
    _check_tls(settings)


def _name(settings: Settings, setting: Setting) -> str:
    return f"--{setting.flag}" if setting.flag in settings.by_flag else f"{setting.key} in {settings.path}"


def _check_places(settings: Settings) -> None:
    for flag in ("data-root", "exec-root"):
        if not os.path.isabs(settings[flag]):
            raise InvalidArgument(f"--{flag} {settings[flag]!r}: it must be an absolute path")
    if len(settings["exec-root"]) > 60:
        raise InvalidArgument(
            f"--exec-root {settings['exec-root']!r}: it may have at most 60 characters, since the paths of unix sockets "
            "below it end at 108"
        )
    for host in settings["host"]:
        scheme, sep, rest = host.partition("://")
        if not sep or scheme not in ("unix", "tcp", "fd"):
            raise InvalidArgument(f"--host {host!r}: write unix:///path, tcp://address:port or fd://")
        if scheme == "tcp" and not re.fullmatch(r"(\[[0-9a-fA-F:.]*\]|[^:/\[\]]*)(:\d{1,5})?/?", rest):
            raise InvalidArgument(f"--host {host!r}: write tcp://address:port")


def _check_addresses(settings: Settings) -> None:
    found = [_address("host-gateway-ip", text) for text in settings["host-gateway-ip"]]
    for version in (4, 6):
        if sum(address.version == version for address in found) > 1:
            raise InvalidArgument(f"only one IPv{version} host gateway IP address can be specified")
    for text in settings["dns"]:
        _address("dns", text)
    if settings["ip"]:
        _address("ip", settings["ip"])
    for mirror in settings["registry-mirror"]:
        _check_mirror(mirror)


def _address(flag: str, text: str) -> ipaddress.IPv4Address | ipaddress.IPv6Address:
    try:
        return ipaddress.ip_address(text)
    except ValueError:
        raise InvalidArgument(f"--{flag}: invalid IP address: {text}") from None


def _check_mirror(text: str) -> None:
    scheme, sep, rest = text.partition("://")
    if not sep or scheme not in ("http", "https"):
        raise InvalidArgument(
            f"invalid mirror: unsupported scheme \"{scheme if sep else ''}\" in \"{text}\": must use either 'https://' or 'http://'"
        )
    if not rest or re.search("[?#]", rest):
        raise InvalidArgument(
            f'invalid mirror: query or fragment at end of the URI "{text}"' if rest else f"invalid mirror: {text!r}"
        )


_WORDS = {
    "log-level": _LEVELS, "log-format": ("text", "json"), "default-ipc-mode": ("private", "shareable"),
    "default-cgroupns-mode": ("private", "host"),
}  # fmt: skip


def _check_words(settings: Settings) -> None:
    for flag, words in _WORDS.items():
        if settings[flag] not in words:
            raise InvalidArgument(
                f"invalid {flag.replace('-', ' ')}: {settings[flag]!r}: give one of {', '.join(words)}"
            )
    if settings["storage-driver"] not in ("", "overlay2", "overlayfs", "overlay", "vfs"):
        raise InvalidArgument(
            f"error initializing graphdriver: driver not supported: {settings['storage-driver']} (there are overlay2 and vfs)"
        )
    for name, value in settings["feature"].items():
        if str(value).lower() not in ("true", "false"):
            raise InvalidArgument(f"features.{name}: {value!r}: write true or false")
    for option in settings["storage-opt"]:
        key, _, value = option.partition("=")
        if key.lower() == "overlay2.size":
            parse_bytes(value, "--storage-opt overlay2.size")
        elif key.lower() != "overlay2.override_kernel_check":
            raise InvalidArgument(f"overlay2: unknown option {key}")
    for label in settings["label"]:
        if "=" not in label:
            raise InvalidArgument(f"bad attribute format: {label}")
    keys = [label.partition("=")[0] for label in settings["label"]]
    for key in keys:
        if len({v for v in settings["label"] if v.partition("=")[0] == key}) > 1:
            raise InvalidArgument(f"conflict labels for {key}={', '.join(settings['label'])}")


def _check_numbers(settings: Settings) -> None:
    for flag, what in (
        ("max-concurrent-downloads", "max concurrent downloads"), ("max-concurrent-uploads", "max concurrent uploads"),
    ):  # fmt: skip
        if settings[flag] < 0:
            raise InvalidArgument(f"invalid {what}: {settings[flag]}")
    if settings["max-download-attempts"] < 1:
        raise InvalidArgument(f"invalid max download attempts: {settings['max-download-attempts']}")
    if settings["mtu"] < 0:
        raise InvalidArgument(f"invalid default MTU: {settings['mtu']}")
    if not -1000 <= settings["oom-score-adjust"] <= 1000:
        raise InvalidArgument(f"invalid oom-score-adjust: {settings['oom-score-adjust']}")


def _check_tls(settings: Settings) -> None:
    """Plain TCP is root for whoever reaches it: it must be asked for in words."""
    if settings["tlsverify"]:
        settings["tls"] = True
    wants_tcp = any(host.startswith("tcp://") for host in settings["host"])
    if wants_tcp and not settings["tls"] and "tls" not in settings.given:
        raise InvalidArgument(
            "refusing to serve the API on tcp:// without TLS: whoever reaches it is root on this machine. Give --tlsverify "
            "--tlscacert --tlscert --tlskey, or --tls=false if that is what you want"
        )
