from __future__ import annotations

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from dreamloop.collect.scrub import MARK, scrubber
from dreamloop.records import Answer, Exchange, Message

SECRETS = [
    ("the key is AKIAIOSFODNN7EXAMPLE, use it", "AKIAIOSFODNN7EXAMPLE"),
    ("ghp_abcdefghijklmnopqrstuvwxyz0123456789 is my token", "abcdefghijklmnopqrstuvwxyz0123456789"),
    ("try sk-proj-abcdefghijklmnopqrstuvwxyz0123456789", "abcdefghijklmnopqrstuvwxyz"),
    ("hf_abcdefghijklmnopqrstuvwxyzABCDEFGH", "abcdefghijklmnop"),
    ("the password is swordfish", "swordfish"),
    ("api_key: 9f86d081884c7d659a2feaa0c55ad015", "9f86d081884c7d65"),
    ("https://user:pa55word@example.com/x", "pa55word"),
    ("Authorization: Bearer abcdef1234567890abcdef1234567890", "abcdef1234567890"),
    ("password is: hunter2Secret", "hunter2Secret"),
    ("**Password:** hunter2Secret", "hunter2Secret"),
    ("`password`: `hunter2Secret`", "hunter2Secret"),
    ("DB_PASSWORD=hunter2Secret", "hunter2Secret"),
    ("export AWS_SECRET_ACCESS_KEY=wJalrXUtnFEMIK7MDENG", "wJalrXUtnFEMIK7MDENG"),
    ("MY_API_KEY = 0123456789abcdef", "0123456789abcdef"),
    ("pwd: hunter2Secret", "hunter2Secret"),
    ("token: hunter2Secret", "hunter2Secret"),
    ("authorization: bearer abcdef1234567890abcdef", "abcdef1234567890"),
    ("Authorization: Basic dXNlcjpwYXNzd29yZDEyMw==", "dXNlcjpwYXNzd29yZ"),
    ("password is now hunter2Secret", "hunter2Secret"),
    ('the passphrase is "correct horse battery"', "horse battery"),
    ("-----BEGIN PGP PRIVATE KEY BLOCK-----\nlQOYBF\n-----END PGP PRIVATE KEY BLOCK-----", "lQOYBF"),
    ("AKIAIOSFODNN7EXAMPLE # pragma: allowlist secret", "AKIAIOSFODNN7EXAMPLE"),
    ("x\n-----BEGIN RSA PRIVATE KEY-----\nMIIEow\nIBAAK\n-----END RSA PRIVATE KEY-----\ny", "MIIEow"),
    ('password = "hunter2xyz"', "hunter2xyz"),
]


@pytest.mark.parametrize(("text", "secret"), SECRETS)
def test_a_secret_never_passes_and_the_words_around_it_stay(text: str, secret: str) -> None:
    with scrubber() as scrub:
        clean = scrub.text(text)
        assert secret not in clean
        assert MARK in clean
        assert scrub.removed >= 1


@pytest.mark.parametrize(
    "text",
    [
        "Hello, what is the capital of France?",
        "Explain the passage from Hamlet about sleep, please; 42 lines at most.",
        "def last(items):\n    return items[-1]",
        "The token ring was a kind of network. Its secret was simple.",
    ],
)
def test_ordinary_text_is_left_alone(text: str) -> None:
    with scrubber() as scrub:
        assert scrub.text(text) == text
        assert scrub.removed == 0


def test_every_text_of_an_exchange_is_scrubbed() -> None:
    dirty = "password: swordfish"
    exchange = Exchange("c", 0, (Message("user", dirty),), (Answer(dirty, 0),), dirty)
    with scrubber() as scrub:
        clean = scrub.exchange(exchange)
    assert "swordfish" not in repr(clean)


@given(st.text(max_size=200))
@settings(suppress_health_check=[HealthCheck.function_scoped_fixture], max_examples=50, deadline=None)
def test_scrubbing_wild_text_never_fails_and_is_stable(text: str) -> None:
    with scrubber() as scrub:
        once = scrub.text(text)
        assert MARK in once or once == text


def test_a_very_long_word_beside_a_secret_takes_no_time() -> None:
    with scrubber() as scrub:
        assert "AKIA" not in scrub.text("A" * 500_000 + " AKIAIOSFODNN7EXAMPLE")
