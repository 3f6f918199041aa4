"""Bodies as Go decodes them, and what is refused before anybody else sees it."""

from __future__ import annotations

import json
from typing import Any

import pytest

from berth.api.codec import CreateBody
from berth.api.shapes import decode
from berth.base.errors import InvalidArgument


def create(text: str | dict[str, Any]) -> dict[str, Any]:
    return decode((text if isinstance(text, str) else json.dumps(text)).encode(), CreateBody)


@pytest.mark.parametrize(
    ("given", "wanted"),
    [
        ({"image": "a", "HOSTCONFIG": {"memory": 5}}, {"Image": "a", "HostConfig": {"Memory": 5}}),
        ({"Image": "a", "Unknown": {"x": 1}, "HostConfig": {"Unknown": 1}}, {"Image": "a", "HostConfig": {}}),
        ({"Image": None, "HostConfig": None, "Cmd": None}, {}),
        (
            {"ExposedPorts": {"80/tcp": None}, "Labels": {"a": None}},
            {"ExposedPorts": {"80/tcp": {}}, "Labels": {"a": ""}},
        ),
        ({"HostConfig": {"PortBindings": {"80/tcp": None}}}, {"HostConfig": {"PortBindings": {"80/tcp": []}}}),
        ({"Labels": {"Image": "kept as it is"}}, {"Labels": {"Image": "kept as it is"}}),
        ({"Cmd": "one", "Entrypoint": "two"}, {"Cmd": ["one"], "Entrypoint": ["two"]}),
        ('{"Image": "\\ud800"}', {"Image": "\ufffd"}),
        ('{"Image": "\\ud83d\\ude00"}', {"Image": "\U0001f600"}),
    ],
)
def test_as_go_decodes(given: Any, wanted: dict[str, Any]) -> None:
    assert create(given) == wanted


@pytest.mark.parametrize(
    ("given", "words"),
    [
        ('{"Image": "a"} x', "unexpected content after JSON"),
        ("[]", "the body must be an object"),
        ("{", "Expecting property name"),
        ('{"Image": 7}', "$.Image"),
        ('{"HostConfig": {"Memory": "much"}}', "$.HostConfig.Memory"),
        ('{"HostConfig": {"Memory": 9223372036854775808}}', "cannot unmarshal number 9223372036854775808 into Memory"),
        ('{"HostConfig": {"Memory": NaN}}', "NaN is no JSON"),
        ('{"HostConfig": {"Memory": 1e999}}', "the number of Memory is too large"),
        ('{"Env": ["A=\\u0000"]}', "Env contains a NUL character"),
        ('{"Labels": {"\\u0000": ""}}', "a key contains a NUL character"),
        ('{"Volumes": {"/a": ' + '{"x":' * 100 + "1" + "}" * 100 + "}}", "exceeded max depth"),
        ('{"Volumes": ' + "[" * 100_000, "invalid JSON: "),
        ('{"HostConfig": {"Memory": ' + "9" * 10_000 + "}}", "invalid JSON: "),
        ('{"Env": "A=1"}', "$.Env"),
        ('{"Env": [null]}', "$.Env[0]"),
    ],
)
def test_refused(given: str, words: str) -> None:
    with pytest.raises(InvalidArgument) as caught:
        create(given)
    assert caught.value.message.startswith("invalid JSON: ")
    assert words in caught.value.message
