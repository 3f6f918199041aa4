"""Fixtures of the whole tree: a shared daemon, fresh ones, and what the machine must offer."""

from __future__ import annotations

import contextlib
import os
from collections.abc import Callable, Iterator

import hypothesis
import pytest

from harness import reference, users
from harness.daemon import Daemon

os.environ.pop("PYTHONDONTWRITEBYTECODE", None)  # programs under test start from cached bytecode, as a user's do
hypothesis.settings.register_profile("whole", deadline=None)  # a busy machine is no mistake of what is drawn
hypothesis.settings.load_profile("whole")


def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    """Tests marked ``root`` are skipped, and said to be, where nobody is root."""
    if os.geteuid() == 0:
        return
    for item in items:
        if item.get_closest_marker("root"):
            item.add_marker(pytest.mark.skip(reason="needs root"))


@pytest.fixture(scope="session", autouse=True)
def users_of_the_host() -> Iterator[None]:
    with users.without_dockremap():
        yield


@pytest.fixture(scope="session")
def shared_daemon() -> Iterator[Daemon]:
    """One daemon for the session with busybox loaded and warmed up. Tests use ``engine``, which checks for leaks."""
    with reference.Reference(reference.ADDRESS) if reference.ADDRESS else Daemon() as daemon:
        daemon.load_busybox()
        daemon.docker("run", "--rm", "busybox", "true")
        daemon.at_rest = daemon.settled()
        yield daemon


@pytest.fixture
def engine(shared_daemon: Daemon) -> Iterator[Daemon]:
    """The shared daemon; after the test its containers are removed, and nothing else may be left."""
    yield shared_daemon
    shared_daemon.remove_all()
    shared_daemon.assert_clean(shared_daemon.at_rest)


@pytest.fixture
def make_daemon() -> Iterator[Callable[..., Daemon]]:
    """Fresh daemons for tests that kill, configure or fill them: ``make_daemon(*flags, env=...)``, started, with busybox."""
    if reference.ADDRESS:
        pytest.skip("needs daemons of its own")
    made: list[Daemon] = []

    def make(*flags: str, busybox: bool = True, start: bool = True, **how: object) -> Daemon:
        daemon = Daemon(*flags, **how)  # type: ignore[arg-type]
        made.append(daemon)
        if start:
            daemon.start()
            if busybox:
                daemon.load_busybox()
        return daemon

    yield make
    with contextlib.ExitStack() as stack:  # every one is closed, whatever becomes of the others
        for daemon in made:
            stack.callback(daemon.close)
