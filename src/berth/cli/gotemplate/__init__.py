"""Go's text/template as far as ``--format`` can reach it, written anew.

    lexer.py      text and actions; the words of an action
    parser.py     words → nodes
    execute.py    nodes and a value → text
    functions.py  the language's own functions and docker's
    values.py     how Go prints values, and what ``missing`` means

Spec: pkg.go.dev/text/template; docs.docker.com "Format command and log output". Loaded when a template is asked for.
"""

from __future__ import annotations

from berth.cli.gotemplate.execute import Template
from berth.cli.gotemplate.lexer import ParseError
from berth.cli.gotemplate.values import MISSING, ExecuteError, Fields

__all__ = ["MISSING", "ExecuteError", "Fields", "ParseError", "Template"]
