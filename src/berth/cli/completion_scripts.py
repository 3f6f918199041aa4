"""The shells' side of completion: a short function each that asks the program and shows what it says."""

from __future__ import annotations

_BASH = r"""# bash completion for PROG
_PROG_complete() {
  local line word cur flag= directive=0 words=() i rest=${COMP_LINE:0:COMP_POINT}
  for ((i = 0; i <= COMP_CWORD; i++)); do  # bash takes words apart at = and : too
    word=${COMP_WORDS[i]}
    if ((i == 0)) || [[ $rest == [[:space:]]* ]]; then
      words+=("")
      rest=${rest#"${rest%%[![:space:]]*}"}
    fi
    words[${#words[@]}-1]+=$word
    rest=${rest#"$word"}
  done
  cur=${words[${#words[@]}-1]}
  COMPREPLY=()
  [[ $cur == --*=* ]] && flag=${cur%%=*}=
  while IFS= read -r line; do
    case $line in
      :[0-9]*) directive=${line#:} ;;
      *) word=$flag${line%%$'\t'*}; [[ $word == "$cur"* ]] && COMPREPLY+=("$word") ;;
    esac
  done < <("${words[0]}" __completeNoDesc "${words[@]:1}" 2>/dev/null)
  if [[ $cur == *[:=]* ]]; then
    local head=${cur%"${cur##*[:=]}"}
    COMPREPLY=("${COMPREPLY[@]#"$head"}")
  fi
  if ((${#COMPREPLY[@]} == 0 && (directive & 5) == 0)); then
    compopt -o default 2>/dev/null
  elif ((directive & 2)); then
    compopt -o nospace 2>/dev/null
  fi
}
complete -F _PROG_complete PROG
"""

_ZSH = r"""#compdef PROG
# zsh completion for PROG
_PROG() {
  local line flag= directive=0
  local -a found how
  [[ ${words[CURRENT]} == --*=* ]] && flag=${words[CURRENT]%%=*}=
  while IFS= read -r line; do
    case $line in
      :<->) directive=${line#:} ;;
      *$'\t'*) found+=("$flag${${line%%$'\t'*}//:/\\:}:${line#*$'\t'}") ;;
      ?*) found+=("$flag${line//:/\\:}") ;;
    esac
  done < <("${words[1]}" __complete "${(@)words[2,CURRENT-1]}" "${words[CURRENT]}" 2>/dev/null)
  if (( $#found )); then
    (( directive & 2 )) && how=(-S '')
    _describe -V 'completions' found $how
  elif (( (directive & 5) == 0 )); then
    _files
  fi
}
if [ "$funcstack[1]" = "_PROG" ]; then
  _PROG "$@"
else
  compdef _PROG PROG
fi
"""

_FISH = r"""# fish completion for PROG
function __PROG_complete
    set -l words (commandline -opc) (commandline -ct)
    set -l answer ($words[1] __complete $words[2..-1] 2>/dev/null)
    set -g __PROG_directive (string replace -r '^:' '' -- $answer[-1])
    set -l flag (string match -r -- '^--[^=]*=' (commandline -ct); or echo)
    test (count $answer) -gt 1; and printf '%s\n' $flag$answer[1..-2]
end
function __PROG_wants_files
    set -l candidates (__PROG_complete)
    test (count $candidates) -eq 0; and test (math "bitand($__PROG_directive, 5)") -eq 0
end
complete -c PROG -e
complete -c PROG -n 'not __PROG_wants_files' -f -a '(__PROG_complete)'
complete -c PROG -n '__PROG_wants_files' -F
"""

SCRIPTS = {"bash": _BASH, "zsh": _ZSH, "fish": _FISH}


def script(shell: str, program: str) -> str:
    """The script for a shell, for a program called ``program``."""
    return SCRIPTS[shell].replace("PROG", program)
