"""Restart policy decisions."""

import pytest

from berth.engine import policy


@pytest.mark.parametrize(
    ("name", "maximum", "code", "stopped", "count", "expected"),
    [
        ("no", 0, 1, False, 0, False),
        ("always", 0, 0, False, 9, True),
        ("always", 0, 0, True, 0, False),
        ("unless-stopped", 0, 1, False, 0, True),
        ("on-failure", 0, 0, False, 0, False),
        ("on-failure", 0, 3, False, 99, True),
        ("on-failure", 2, 3, False, 1, True),
        ("on-failure", 2, 3, False, 2, False),
    ],
)
def test_wants_restart(name: str, maximum: int, code: int, stopped: bool, count: int, expected: bool) -> None:
    asked = {"Name": name, "MaximumRetryCount": maximum}
    assert policy.wants_restart(asked, exit_code=code, stopped_by_user=stopped, restart_count=count) is expected


def test_delay_doubles_to_a_minute_and_falls_back_after_a_stable_run() -> None:
    delays = []
    delay = 0.0
    for _ in range(12):
        delay = policy.next_delay_s(delay, ran_for_s=0.5)
        delays.append(delay)
    assert delays[:4] == [0.1, 0.2, 0.4, 0.8]
    assert delays[-1] == 60.0
    assert policy.next_delay_s(60.0, ran_for_s=10.0) == 0.1


def test_at_boot_always_ignores_a_persons_stop_and_unless_stopped_honours_it() -> None:
    def at_boot(name: str, *, stopped: bool) -> bool:
        return policy.wants_start_at_boot({"Name": name}, was_running=False, stopped_by_user=stopped, exit_code=0)

    assert at_boot("always", stopped=True)
    assert not at_boot("unless-stopped", stopped=True)
    assert at_boot("unless-stopped", stopped=False)
    assert not at_boot("no", stopped=False)
