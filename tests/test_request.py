"""Sampling values are checked where they are made."""

import math

import pytest

from phi3v.request import MAX_SEED, MIN_TEMPERATURE, RequestError, Sampling
from phi3v.ui.wiring import choose_sampling


@pytest.mark.parametrize("seed", [0, 7, 2**63, MAX_SEED, None])
def test_a_seed_in_range_is_kept(seed) -> None:
    assert Sampling(seed=seed).seed == seed


@pytest.mark.parametrize("seed", [99999999999999999999, MAX_SEED + 1, -1, 1.5, math.inf, math.nan])
def test_a_seed_out_of_range_is_refused_with_the_range(seed) -> None:
    with pytest.raises(RequestError, match="seed is .* from 0 to 18446744073709551615"):
        Sampling(temperature=1.0, seed=seed)


@pytest.mark.parametrize("temperature", [0.0, MIN_TEMPERATURE, 1, 2.0])
def test_a_temperature_in_range_is_kept(temperature) -> None:
    assert Sampling(temperature=temperature).temperature == temperature


@pytest.mark.parametrize("temperature", [5e-324, 1e-45, 1e-8, 0.0099])
def test_a_temperature_near_zero_is_refused(temperature) -> None:
    with pytest.raises(RequestError, match=r"choose 0 \(greedy\), or 0.01 to 2"):
        Sampling(temperature=temperature)


@pytest.mark.parametrize("temperature", [-0.1, 2.1, math.inf, math.nan])
def test_a_temperature_out_of_range_is_refused(temperature) -> None:
    with pytest.raises(RequestError, match="choose 0"):
        Sampling(temperature=temperature)


@pytest.mark.parametrize("top_p", [0.0, -1.0, 1.1, math.nan])
def test_a_top_p_out_of_range_is_refused(top_p) -> None:
    with pytest.raises(RequestError, match="top_p"):
        Sampling(top_p=top_p)


@pytest.mark.parametrize(
    ("seed", "kept"), [(-1, None), (None, None), (4.0, 4), (2**64 - 1, MAX_SEED)]
)
def test_the_page_s_seed_becomes_one_or_none(seed, kept) -> None:
    assert choose_sampling(5, 0.0, 1.0, seed, "auto")[0].seed == kept


def test_the_page_s_seed_is_refused_out_of_range() -> None:
    with pytest.raises(RequestError, match="seed is"):
        choose_sampling(5, 0.0, 1.0, 1e30, "auto")
