"""``info``: the engine and the host, a line a fact."""

from __future__ import annotations

import sys

import berth
from berth.base.errors import BerthError
from berth.cli.command import Command, sentence
from berth.cli.commands.system import context_name
from berth.cli.flags import FORMAT_OF_ONE
from berth.spec.units import bytes_size

TYPE_CHECKING = False
if TYPE_CHECKING:
    from typing import Any

    from berth.cli.flags import Flags
    from berth.cli.plugins import Plugin
    from berth.client.engine import Engine


def info(engine: Engine, flags: Flags) -> int:
    format_, template = flags.text("format"), None
    if format_:
        from berth.cli import formats

        template = formats.parse(format_)
    found: dict[str, Any] = {}
    failure: BerthError | None = None
    try:
        found = engine.get("/info")
    except BerthError as err:
        failure = err
    if template is not None:
        formats.print_each(template, [_fields(found, failure)], what="")
    else:
        _print_whole(found, failure)
    sys.stdout.flush()
    if failure is not None:
        print(sentence(failure), file=sys.stderr)
        return 1
    return 0


def _client() -> dict[str, Any]:
    from berth.cli import plugins

    known = [_plugin(plugin) for plugin in plugins.list_()]
    return {"Debug": False, "Version": berth.__version__, "Context": context_name(), "Plugins": known, "Warnings": None}


def _plugin(plugin: Plugin) -> dict[str, str]:
    shown = {**plugin.metadata, "Name": plugin.name, "Path": plugin.path}
    return {**shown, "Err": plugin.wrong} if plugin.wrong else shown


def _fields(found: dict[str, Any], failure: BerthError | None) -> Any:
    from berth.cli.gotemplate import Fields

    whole = {**found, "ClientInfo": _client()}
    if failure is not None:
        whole["ServerErrors"] = [sentence(failure)]
    return Fields.of(whole, "system.dockerInfo")


def _print_whole(found: dict[str, Any], failure: BerthError | None) -> None:
    client = _client()
    print(f"Client:\n Version:    {client['Version']}\n Context:    {client['Context']}\n Debug Mode: false")
    plugins = [plugin for plugin in client["Plugins"] if not plugin.get("Err")]
    if plugins:
        print(" Plugins:")
    for plugin in plugins:
        print(f"  {plugin['Name']}: {plugin.get('ShortDescription', '')} ({plugin['Vendor']})")
        rows = (("Version", plugin.get("Version", "")), ("Path", plugin["Path"]))
        print("".join(f"    {key + ':':<9} {value}\n" for key, value in rows if value), end="")
    for plugin in client["Plugins"]:
        if plugin.get("Err"):
            print(f'WARNING: Plugin "{plugin["Path"]}" is not valid: {plugin["Err"]}', file=sys.stderr)
    print("\nServer:")
    if failure is None:
        for line in server_lines(found):
            print(line)
        print()
        sys.stdout.flush()
        for warning in found.get("Warnings") or ():
            print(warning, file=sys.stderr)


def server_lines(found: dict[str, Any]) -> list[str]:
    """The server's part, each line with its indentation."""
    rows: list[tuple[str, Any]] = [
        ("Containers", found["Containers"]), (" Running", found["ContainersRunning"]),
        (" Paused", found["ContainersPaused"]), (" Stopped", found["ContainersStopped"]), ("Images", found["Images"]),
        ("Server Version", found["ServerVersion"]), ("Storage Driver", found["Driver"]),
        *[(f" {key}", value) for key, value in found.get("DriverStatus") or ()],
        ("Logging Driver", found["LoggingDriver"]), ("Cgroup Driver", found["CgroupDriver"]),
        ("Cgroup Version", found["CgroupVersion"]),
    ]  # fmt: skip
    lines = [f" {key}: {value}" for key, value in rows]
    lines += _plugins(found) + _runtimes(found)
    lines += _security(found.get("SecurityOptions") or ())
    rows = [
        ("Kernel Version", found["KernelVersion"]), ("Operating System", found["OperatingSystem"]),
        ("OSType", found["OSType"]), ("Architecture", found["Architecture"]), ("CPUs", found["NCPU"]),
        ("Total Memory", bytes_size(found["MemTotal"])), ("Name", found["Name"]), ("ID", found["ID"]),
        ("Docker Root Dir", found["DockerRootDir"]), ("Debug Mode", _word(found["Debug"])),
    ]  # fmt: skip
    for label, key in (("HTTP Proxy", "HttpProxy"), ("HTTPS Proxy", "HttpsProxy"), ("No Proxy", "NoProxy")):
        if found.get(key):
            rows.append((label, found[key]))
    lines += [f" {key}: {value}" for key, value in rows]
    if found.get("Labels"):
        lines += [" Labels:", *(f"  {label}" for label in found["Labels"])]
    lines.append(f" Experimental: {_word(found.get('ExperimentalBuild'))}")
    lines += _registries(found.get("RegistryConfig") or {})
    lines.append(f" Live Restore Enabled: {_word(found.get('LiveRestoreEnabled'))}")
    return lines


def _word(value: Any) -> str:
    return "true" if value else "false"


def _plugins(found: dict[str, Any]) -> list[str]:
    plugins = found.get("Plugins") or {}
    rows = [(kind, " ".join(plugins.get(kind) or ())) for kind in ("Volume", "Network", "Authorization", "Log")]
    lines = [f"  {kind}: {names}" for kind, names in rows if names]
    return [" Plugins:", *lines] if lines else []


def _runtimes(found: dict[str, Any]) -> list[str]:
    swarm = (found.get("Swarm") or {}).get("LocalNodeState") or "inactive"
    lines = [f" Swarm: {swarm}"]
    if found.get("Runtimes"):
        lines.append(f" Runtimes: {' '.join(sorted(found['Runtimes']))}")
        lines.append(f" Default Runtime: {found['DefaultRuntime']}")
    if found.get("InitBinary"):
        lines.append(f" Init Binary: {found['InitBinary']}")
    return lines


def _security(options: Any) -> list[str]:
    lines = [" Security Options:"] if options else []
    for option in options:
        fields = dict(part.partition("=")[::2] for part in option.split(","))
        lines.append(f"  {fields.pop('name', option)}")
        lines += [f"   {key.capitalize()}: {value}" for key, value in fields.items()]
    return lines


def _registries(registry: dict[str, Any]) -> list[str]:
    lines: list[str] = []
    insecure = [name for name, entry in (registry.get("IndexConfigs") or {}).items() if not entry.get("Secure", True)]
    insecure += registry.get("InsecureRegistryCIDRs") or []
    if insecure:
        lines += [" Insecure Registries:", *(f"  {name}" for name in insecure)]
    if registry.get("Mirrors"):
        lines += [" Registry Mirrors:", *(f"  {name}" for name in registry["Mirrors"])]
    return lines


COMMANDS = {
    "info": Command(
        "[OPTIONS]", "Display system-wide information",
        [FORMAT_OF_ONE], (0, 0), info,
    ),
}  # fmt: skip
