"""``--change`` of ``docker import`` and ``docker commit``: a few Dockerfile instructions applied to a config."""

from __future__ import annotations

import json
import posixpath
import shlex
from typing import Any

from berth.base.errors import InvalidArgument
from berth.spec.ports import parse_port
from berth.spec.units import parse_duration_ns

_INSTRUCTIONS = frozenset("CMD ENTRYPOINT ENV EXPOSE HEALTHCHECK LABEL ONBUILD STOPSIGNAL USER VOLUME WORKDIR".split())
_HEALTH = {
    "interval": "Interval", "timeout": "Timeout", "start-period": "StartPeriod", "start-interval": "StartInterval",
    "retries": "Retries",
}  # fmt: skip


def apply_changes(config: dict[str, Any], changes: list[str]) -> None:
    """CMD ENTRYPOINT ENV EXPOSE HEALTHCHECK LABEL ONBUILD STOPSIGNAL USER VOLUME WORKDIR, in place. What is changed is a
    new object: the config may share others. Raises: InvalidArgument.
    """
    for line in changes:
        word, _, rest = line.strip().partition(" ")
        word, rest = word.upper(), rest.strip()
        if word not in _INSTRUCTIONS:
            raise InvalidArgument(f"{word} is not a valid change command")
        if not rest and word not in ("CMD", "ENTRYPOINT"):
            raise InvalidArgument(f"{word} requires at least one argument")
        if word in ("CMD", "ENTRYPOINT"):
            config["Cmd" if word == "CMD" else "Entrypoint"] = _words(rest) if rest else None
        elif word == "ENV":
            config["Env"] = _merge_env(config.get("Env") or [], _pairs(rest, word))
        elif word == "LABEL":
            config["Labels"] = {**(config.get("Labels") or {}), **dict(_pairs(rest, word))}
        elif word == "EXPOSE":
            config["ExposedPorts"] = {**(config.get("ExposedPorts") or {}), **{port: {} for port in _ports(rest)}}
        elif word == "VOLUME":
            paths = _words(rest) if rest.startswith("[") else rest.split()
            config["Volumes"] = {**(config.get("Volumes") or {}), **{path: {} for path in paths}}
        elif word == "HEALTHCHECK":
            config["Healthcheck"] = _health(rest)
        elif word == "ONBUILD":
            config["OnBuild"] = [*(config.get("OnBuild") or []), rest]
        elif word == "WORKDIR":
            config["WorkingDir"] = posixpath.normpath(posixpath.join(config.get("WorkingDir") or "/", rest))
        else:
            config["User" if word == "USER" else "StopSignal"] = rest


def _ports(text: str) -> list[str]:
    """``80 81/udp 90-92`` → with protocols, ranges one by one."""
    found = []
    for word in text.split():
        try:
            ports, proto = parse_port(word)
        except InvalidArgument:
            raise InvalidArgument(f"Invalid containerPort: {word}") from None
        found += [f"{number}/{proto}" for number in range(ports.first, ports.last + 1)]
    return found


def _health(text: str) -> dict[str, Any]:
    """``NONE``, or ``[--interval= --timeout= --start-period= --start-interval= --retries=] CMD ...``."""
    found: dict[str, Any] = {}
    while text.startswith("--"):
        option, _, text = text.partition(" ")
        name, _, value = option[2:].partition("=")
        if name not in _HEALTH:
            raise InvalidArgument(f"Unknown flag: {name}")
        found[_HEALTH[name]] = int(value) if name == "retries" and value.isdecimal() else parse_duration_ns(value, name)
        text = text.strip()
    kind, _, rest = text.partition(" ")
    if kind.upper() == "NONE":
        return {"Test": ["NONE"]}
    if kind.upper() != "CMD":
        raise InvalidArgument(f'Unknown type "{kind.upper()}" in HEALTHCHECK (try CMD)')
    words = _words(rest.strip())
    test = ["CMD", *words] if rest.strip().startswith("[") else ["CMD-SHELL", words[-1]]
    return {"Test": test, **found}


def _words(text: str) -> list[str]:
    if text.startswith("["):
        try:
            words = json.loads(text)
        except ValueError as err:
            raise InvalidArgument(f"{text}: not a JSON list of words") from err
        if isinstance(words, list) and all(isinstance(w, str) for w in words):
            return words
        raise InvalidArgument(f"{text}: not a JSON list of words")
    return ["/bin/sh", "-c", text]


def _pairs(text: str, word: str) -> list[tuple[str, str]]:
    try:
        words = shlex.split(text)
    except ValueError as err:
        raise InvalidArgument(f"{word} {text}: {err}") from err
    if "=" not in words[0]:
        key, _, value = text.partition(" ")
        if not value:
            raise InvalidArgument(f"{word} must have two arguments")
        return [(key, value.strip())]
    pairs = []
    for entry in words:
        key, eq, value = entry.partition("=")
        if not eq or not key:
            raise InvalidArgument(f"Syntax error - can't find = in {entry!r}. Must be of the form: name=value")
        pairs.append((key, value))
    return pairs


def _merge_env(env: list[str], pairs: list[tuple[str, str]]) -> list[str]:
    merged = {entry.partition("=")[0]: entry for entry in env}
    merged.update({key: f"{key}={value}" for key, value in pairs})
    return list(merged.values())
