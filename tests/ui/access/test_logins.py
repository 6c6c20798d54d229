"""Credentials in headers, and failed logins that are slowed."""

import base64

import pytest

from phi3v.ui.access.logins import (
    FORGOTTEN_AFTER,
    FREE_FAILURES,
    MAX_ADDRESSES,
    Credentials,
    FailedLogins,
)

ME = Credentials("me", "sécret:x")


def basic(text: str) -> str:
    return "Basic " + base64.b64encode(text.encode()).decode()


def as_header(text: str) -> str:
    """What a server reads of a header whose bytes are UTF-8."""
    return text.encode().decode("latin-1")


def test_the_login_is_accepted_in_both_forms() -> None:
    assert ME.accept(basic("me:sécret:x"))
    assert ME.accept(as_header("Bearer me:sécret:x"))
    assert ME.accept(as_header("bearer  me:sécret:x "))


@pytest.mark.parametrize(
    "header",
    ["", "Basic", "Basic !!!", basic("me:"), basic("me:secret"), "Bearer me", "Digest me:sécret:x",
     "me:sécret:x", basic("me:sécret:x")[:-1] + "é"],
)  # fmt: skip
def test_everything_else_is_refused(header: str) -> None:
    assert not ME.accept(as_header(header))


def test_a_password_is_not_shown() -> None:
    assert "sécret" not in repr(ME)


class Clock:
    """A clock that is set by hand."""

    def __init__(self) -> None:
        self.now = 1000.0

    def __call__(self) -> float:
        return self.now


def fail(logins: FailedLogins, times: int, address: str = "203.0.113.9") -> int:
    for _ in range(times):
        logins.record(address)
    return logins.seconds_to_wait(address)


def test_the_first_failures_cost_nothing_and_further_ones_ever_more() -> None:
    logins = FailedLogins(Clock())
    assert fail(logins, FREE_FAILURES - 1) == 0
    assert [fail(logins, 1) for _ in range(8)] == [1, 2, 4, 8, 16, 32, 60, 60]


def test_another_address_need_not_wait() -> None:
    logins = FailedLogins(Clock())
    fail(logins, 20)
    assert logins.seconds_to_wait("203.0.113.10") == 0


def test_one_hosts_ipv6_addresses_count_together() -> None:
    logins = FailedLogins(Clock())
    for last in range(20):
        logins.record(f"2001:db8::{last:x}")
    assert logins.seconds_to_wait("2001:db8::ffff") > 0
    assert logins.seconds_to_wait("2001:db8:0:1::1") == 0


def test_a_login_that_succeeds_forgets_the_failures() -> None:
    logins = FailedLogins(Clock())
    fail(logins, 20)
    logins.forget("203.0.113.9")
    assert logins.seconds_to_wait("203.0.113.9") == 0


def test_failures_are_forgotten_in_time() -> None:
    clock = Clock()
    logins = FailedLogins(clock)
    fail(logins, 20)
    clock.now += FORGOTTEN_AFTER + 1
    assert logins.seconds_to_wait("203.0.113.9") == 0


def test_failures_of_any_number_of_addresses_take_bounded_memory() -> None:
    logins = FailedLogins(Clock())
    for number in range(MAX_ADDRESSES + 100):
        logins.record(f"10.{number >> 16}.{number >> 8 & 255}.{number & 255}")
    assert len(logins._failures) == MAX_ADDRESSES
