"""The program: global flags, finding the command, errors to exit codes.

Loaded before the first byte goes out, so it imports nothing that a plain command does not need.
"""

from __future__ import annotations

import posix
import sys

from berth.base.errors import BerthError
from berth.cli import catalog
from berth.cli.command import PROGRAM, Command, Failed, count_problem, report
from berth.cli.flags import Flag, Flags, UsageError, parse
from berth.client.engine import Engine

__all__ = ["Command", "main", "report"]

GLOBAL = [
    Flag("config", "string", "Location of client config files (default $DOCKER_CONFIG, else ~/.docker)"),
    Flag("context", "string", "Name of the context to use to connect to the daemon (overrides DOCKER_HOST env var and "
         'the default context set with "context use")', "c"),
    Flag("debug", "bool", "Enable debug mode", "D"),
    Flag("host", "list", "Daemon socket to connect to", "H"),
    Flag("log-level", "string", 'Set the logging level ("debug", "info", "warn", "error", "fatal")', "l", "info"),
    Flag("tls", "bool", "Use TLS; implied by --tlsverify"),
    Flag("tlscacert", "string", "Trust certs signed only by this CA (default ca.pem of the config's directory)"),
    Flag("tlscert", "string", "Path to TLS certificate file (default cert.pem of the config's directory)"),
    Flag("tlskey", "string", "Path to TLS key file (default key.pem of the config's directory)"),
    Flag("tlsverify", "bool", "Use TLS and verify the remote"),
    Flag("version", "bool", "Print version information and quit", "v"),
]  # fmt: skip
_LEVELS = ("debug", "info", "warn", "warning", "error", "fatal", "panic", "trace")


def main(argv: list[str] | None = None) -> int:
    """Exit status: the command's; 1 for errors, 125 for those of run, 126 and 127 for commands that can't run."""
    words = list(sys.argv[1:] if argv is None else argv)
    try:
        return _main(words)
    except KeyboardInterrupt:
        return 130
    except BrokenPipeError:
        _silence()
        return 1
    finally:
        try:
            sys.stdout.flush()
        except BrokenPipeError:
            _silence()


def program() -> None:
    """``main`` as a process of its own: ends at once, without the interpreter's taking itself apart (5 ms)."""
    status = main()
    try:
        sys.stderr.flush()
    except OSError:
        pass
    posix._exit(status)


def _silence() -> None:
    """Nobody reads any more: the interpreter's own flush at exit must not complain."""
    import os

    os.dup2(os.open(os.devnull, os.O_WRONLY), 1)


def _main(words: list[str]) -> int:
    try:
        top = parse(words, GLOBAL, interspersed=False)
        hosts = top.list_("host")
        if len(hosts) > 1:
            raise UsageError(f'invalid argument "{hosts[1]}" for "-H, --host" flag: specify only one -H')
    except UsageError as err:
        return _usage_error(err.message, f"Usage:  {PROGRAM} [OPTIONS] COMMAND [ARG...]", "")
    if top.given("config") or top.given("context"):
        _keep(top)
    if top.on("version"):
        import berth

        print(f"Berth version {berth.__version__}, build {berth.__version__}")
        return 0
    if top.text("log-level") not in _LEVELS:
        print(f"Unable to parse logging level: {top.text('log-level')}", file=sys.stderr)
        return 1
    if top.given("help") or not top.args or top.args == ["help"]:
        return _top_help()
    return _dispatch(top, words)


def _keep(top: Flags) -> None:
    """Put ``--config`` and ``--context`` where everybody looks later: "context show", plugins."""
    import os

    if top.given("config"):
        os.environ["DOCKER_CONFIG"] = top.text("config")
    if top.given("context"):
        os.environ["DOCKER_CONTEXT"] = top.text("context")
        os.environ.pop("DOCKER_HOST", None)


def _top_help() -> int:
    from berth.cli import help, plugins

    found = plugins.list_()
    lines = {plugin.name: plugin.line for plugin in found if not plugin.wrong}
    print(help.top(PROGRAM, GLOBAL, lines, {plugin.name: plugin.wrong for plugin in found if plugin.wrong}))
    return 0


def _dispatch(top: Flags, words: list[str]) -> int:
    name, rest = top.args[0], top.args[1:]
    if name == "help":
        if rest[0] not in catalog.GROUPS and catalog.find(rest[0]) is None:
            return _plugin_help(rest, words)
        name, rest = rest[0], [*rest[1:], "--help"]
        words = [name, *rest]
    if name in catalog.GROUPS:
        replaced = _alias_of_group(name, words)
        if replaced is not None:
            return replaced
        verb = next((word for word in rest if not word.startswith("-")), None)
        if verb is None or catalog.find(f"{name} {verb}") is None:
            return _group_alone(name, verb, rest)
        name, rest = f"{name} {verb}", rest[rest.index(verb) + 1 :]
    whole = catalog.find(name)
    if whole is None:
        return _other(name, top, words)
    engine = None if whole in catalog.LOCAL or whole.startswith(catalog.LOCAL_GROUPS) else _greeted(top, rest)
    module_name, key, _ = catalog.COMMANDS[whole]
    module = __import__(f"berth.cli.commands.{module_name}", fromlist=["COMMANDS"])
    return _run(module.COMMANDS[key], name, whole, rest, top, engine)


def _greeted(top: Flags, rest: list[str]) -> Engine | BerthError | None:
    """The engine, asked for its version already: it answers while the command is loaded. What is wrong is told later."""
    if "--help" in rest or "-h" in rest:
        return None
    try:
        engine = _engine(top)
    except BerthError as err:
        return err
    engine.greet()
    return engine


def _alias_of_group(name: str, words: list[str]) -> int | None:
    """docker's one alias, ``builder``, may lead to a plugin; None where it does not."""
    if name != "builder":
        return None
    from berth.cli import plugins

    target = plugins.alias(name)
    plugin = plugins.find(target[0]) if target else None
    if plugin is None:
        return None
    at = words.index(name)
    return plugins.run(plugin, [*words[:at], *target, *words[at + 1 :]])


def _group_alone(name: str, verb: str | None, rest: list[str]) -> int:
    """A management command without a verb that exists."""
    from berth.cli import help

    flags = [word for word in rest if word.startswith("-")]
    if "--help" in flags or "-h" in flags:
        print(help.group(PROGRAM, name))
        return 0
    if flags and (verb is None or rest.index(flags[0]) < rest.index(verb)):
        what = "unknown flag: " + flags[0] if flags[0].startswith("--") else (
            f"unknown shorthand flag: '{flags[0][1:2]}' in {flags[0]}"
        )  # fmt: skip
        return _usage_error(what, f"Usage:  {PROGRAM} {name}", name)
    if verb is None:
        print(help.group(PROGRAM, name), file=sys.stderr)
        return 0
    print(
        f"{PROGRAM}: unknown command: {PROGRAM} {name} {verb}\n\nUsage:  {PROGRAM} {name}\n\n"
        f"Run '{PROGRAM} {name} --help' for more information", file=sys.stderr,
    )  # fmt: skip
    return 1


def _plugin_help(topic: list[str], words: list[str]) -> int:
    from berth.cli import plugins

    plugin = plugins.find(topic[0])
    if plugin is not None:
        return plugins.run(plugin, words)
    print(f"unknown help topic: {' '.join(topic)}", file=sys.stderr)
    return 1


def _other(name: str, top: Flags, words: list[str]) -> int:
    """No command of ours: completion's own words, an alias of the configuration, a CLI plugin, or nothing."""
    if name in ("__complete", "__completeNoDesc"):
        from berth.cli.completion import answer

        return answer(top, describe=name == "__complete")
    from berth.cli import plugins

    target = plugins.alias(name)
    if target:
        at = words.index(name)
        words = [*words[:at], *target, *words[at + 1 :]]
        if catalog.find(target[0]) or target[0] in catalog.GROUPS:
            return _main(words)
        name = target[0]
    plugin = plugins.find(name)
    if plugin is not None:
        return plugins.run(plugin, words)
    later = catalog.LATER.get(name)
    if later:
        print(f"{PROGRAM}: there is no '{PROGRAM} {name}' here: {later}", file=sys.stderr)
        return 1
    print(
        f"{PROGRAM}: unknown command: {PROGRAM} {name}\n\nRun '{PROGRAM} --help' for more information", file=sys.stderr
    )
    return 1


def _usage_error(message: str, usage: str, shown: str) -> int:
    help_ = f"{PROGRAM} {shown} --help" if shown else f"{PROGRAM} --help"
    print(f"{message}\n\n{usage}\n\nRun '{help_}' for more information", file=sys.stderr)
    return 125


def _run(
    command: Command, shown: str, whole: str, words: list[str], top: Flags, engine: Engine | BerthError | None
) -> int:
    try:
        flags = parse(words, command.flags, interspersed=command.interspersed)
    except UsageError as err:
        return _usage_error(err.message, _usage(command, shown), shown)
    for notice in flags.notices:
        print(notice)
    if flags.given("help"):
        from berth.cli import help

        print(help.command(PROGRAM, shown, whole, command))
        return 0
    problem = count_problem(command.args, len(flags.args))
    if problem:
        see = "See" if problem.startswith("requires at least") and "most" not in problem else "Run"
        print(
            f"{PROGRAM}: '{PROGRAM} {shown}' {problem}\n\n{_usage(command, shown)}\n\n"
            f"{see} '{PROGRAM} {shown} --help' for more information", file=sys.stderr,
        )  # fmt: skip
        return 1
    try:
        if isinstance(engine, BerthError):
            raise engine
        status = command.run(engine or (Engine("unix://") if command.local else _engine(top)), flags)
        if not status and posix.isatty(1):
            _hooks(shown, flags)
        return status
    except UsageError as err:
        return _usage_error(err.message, _usage(command, shown), shown)
    except BerthError as err:
        return report(err, shown, err.status if isinstance(err, Failed) else command.error_status)
    except BrokenPipeError:
        raise  # nobody reads our output
    except ConnectionError as err:
        print(f"error during connect: {err}", file=sys.stderr)
        return command.error_status


def _hooks(shown: str, flags: Flags) -> None:
    from berth.cli import hooks

    sys.stdout.flush()
    hooks.tell(shown, flags)


def _engine(top: Flags) -> Engine:
    """Raises: Failed when the settings name no engine."""
    from berth.cli.endpoint import resolve

    try:
        return Engine(resolve(top))
    except BerthError as err:
        if isinstance(err, UsageError):
            raise Failed(err.message) from err
        raise Failed(f"Failed to initialize: unable to resolve docker endpoint: {err.message}") from err


def _usage(command: Command, shown: str) -> str:
    from berth.cli import help

    return help.usage(PROGRAM, shown, command)


if __name__ == "__main__":
    program()
