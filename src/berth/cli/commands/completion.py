"""``completion``: the scripts that shells load."""

from __future__ import annotations

from berth.cli.command import PROGRAM, Command

TYPE_CHECKING = False
if TYPE_CHECKING:
    from berth.cli.flags import Flags
    from berth.client.engine import Engine


def _of(shell: str, where: str) -> Command:
    def run(engine: Engine, flags: Flags) -> int:
        from berth.cli.completion_scripts import script

        print(script(shell, PROGRAM), end="")
        return 0

    text = f"Generate the autocompletion script for {shell}.\n\nTo load it in every new session:\n\n\t{where}"
    return Command("", text.replace("PROG", PROGRAM), [], (0, 0), run, local=True)


COMMANDS = {
    "bash": _of("bash", "PROG completion bash > /etc/bash_completion.d/PROG"),
    "zsh": _of("zsh", 'PROG completion zsh > "${fpath[1]}/_PROG"'),
    "fish": _of("fish", "PROG completion fish > ~/.config/fish/completions/PROG.fish"),
}
