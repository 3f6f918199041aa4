"""Names for containers that were given none: an adjective and a person of science or the sea."""

from __future__ import annotations

import random
import re

from berth.base.errors import InvalidArgument
from berth.spec import messages

_NAME = re.compile(r"/?[a-zA-Z0-9][a-zA-Z0-9_.-]+")

_LEFT = (
    "able agile amber ample apt bold brave breezy bright brisk calm candid civil clear clever cosy crisp deft eager "
    "early easy fair fast fine firm fond frank free fresh gentle glad golden grand happy hardy hearty honest jolly keen "
    "kind lively loyal lucid lucky mellow merry modest neat nimble noble open patient plain polite prime proud quick "
    "quiet ready rosy safe serene sharp silent smart snug sober solid sound spry stable steady stout strong sunny sure "
    "swift tidy true trusty vivid warm wise witty young zesty"
).split()
_RIGHT = (
    "amundsen archimedes babbage banneker barents bell bering bohr boole bowditch cabot cook curie darwin dijkstra drake "
    "einstein erikson euclid euler fermat fermi feynman franklin galileo gauss gray halley hamilton hertz hopper hubble "
    "hudson hypatia jemison joule kepler kovalevskaya lamarr leibniz lovelace magellan mandela maxwell mccarthy meitner "
    "mendel mercator morse napier nansen newton nobel noether pascal pasteur pauling planck ptolemy raman ride ritchie "
    "robinson rubin sagan shackleton shannon slocum stallman tasman tereshkova tesla thompson turing vespucci volta "
    "wing wozniak wright yonath"
).split()


def generate(attempt: int) -> str:
    """A fresh suggestion; with a digit once several were taken."""
    name = f"{random.choice(_LEFT)}_{random.choice(_RIGHT)}"
    return name if attempt < 6 else f"{name}{random.randrange(10 ** (attempt - 4))}"


def check(name: str) -> str:
    """The name without a leading slash. Raises: InvalidArgument in Docker's words."""
    if not _NAME.fullmatch(name):
        raise InvalidArgument(messages.bad_name(name))
    return name.removeprefix("/")
