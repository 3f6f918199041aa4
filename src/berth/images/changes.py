"""``--change`` of ``docker import``: a few Dockerfile instructions applied to a config."""

from __future__ import annotations

import json
import shlex
from typing import Any

from berth.base.errors import InvalidArgument


def apply_changes(config: dict[str, Any], changes: list[str]) -> None:
    """CMD ENTRYPOINT ENV EXPOSE LABEL STOPSIGNAL USER VOLUME WORKDIR, in place. Raises: InvalidArgument."""
    for line in changes:
        word, _, rest = line.strip().partition(" ")
        word, rest = word.upper(), rest.strip()
        if not rest:
            raise InvalidArgument(f"{word} requires at least one argument")
        if word in ("CMD", "ENTRYPOINT"):
            config["Cmd" if word == "CMD" else "Entrypoint"] = _words(rest)
        elif word == "ENV":
            config["Env"] = _merge_env(config.get("Env") or [], _pairs(rest, word))
        elif word == "LABEL":
            config["Labels"] = {**(config.get("Labels") or {}), **dict(_pairs(rest, word))}
        elif word == "EXPOSE":
            ports = config.setdefault("ExposedPorts", {})
            for port in rest.split():
                ports[port if "/" in port else f"{port}/tcp"] = {}
        elif word == "VOLUME":
            volumes = config.setdefault("Volumes", {})
            for path in _words(rest) if rest.startswith("[") else rest.split():
                volumes[path] = {}
        elif word in ("USER", "WORKDIR", "STOPSIGNAL"):
            config[{"USER": "User", "WORKDIR": "WorkingDir", "STOPSIGNAL": "StopSignal"}[word]] = rest
        else:
            raise InvalidArgument(f"{word} is not a valid change command")


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
