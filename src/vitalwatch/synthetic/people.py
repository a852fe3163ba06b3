"""Who the synthetic people are: traits that no sensor sees, the profile that models may see, and names kept apart."""

from __future__ import annotations

import math
from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from functools import lru_cache
from typing import TYPE_CHECKING

import numpy as np

from vitalwatch.tables import Profile

if TYPE_CHECKING:
    from faker import Faker


OFFSETS = (-480, -300, 0, 60, 60, 120, 480)  # minutes from UTC, by how common they are here


@dataclass(frozen=True)
class Identity:
    """Identifying fields of one person, kept apart from every table that models read."""

    person: str
    name: str
    email: str
    address: str
    phone: str


@dataclass(frozen=True)
class Traits:
    """What one person is like; units in the names or below, levels are for awake rest.

    Attributes:
        resting, maximum: Heart rate, bpm.
        vo2max: ml/kg/min.
        tau_on, tau_off: Heart-rate kinetics, minutes.
        noise: Size of the autonomic noise, x; `fast` is the share of it within minutes.
        swing: Circadian amplitude of the heart rate, bpm.
        active: Daily movement, x.
        chronotype: Bed time, minutes after 21:00; `sleep_need` minutes.
        offset: Local clock minus UTC, minutes.
        unworn, nights_off: Chance that the day, the night is not worn.
        cycle: Day of the menstrual cycle on the first day, or -1.
        snore: Depth of the dips of oxygen saturation in usual sleep, %; most people have few, some many.
        susceptible: Kind of event -> weight.
        whole_beats: Whether the device tells whole beats a minute, as one in four exports does, and no fractions.
        bias: Error of the person's sensors: SpO2 (%), temperature (Cel), cuff (mmHg).
    """

    profile: Profile
    resting: float
    maximum: float
    vo2max: float
    tau_on: float
    tau_off: float
    noise: float
    fast: float
    swing: float
    active: float
    sporty: float
    chronotype: float
    sleep_need: float
    restless: float
    naps: float
    offset: int
    unworn: float
    nights_off: float
    cycle: int
    spo2: float
    respiration: float
    temperature: float
    systolic: float
    diastolic: float
    log_rmssd: float
    snore: float
    susceptible: dict[str, float]
    whole_beats: bool
    bias: tuple[float, float, float]


def pseudonym(index: int, seed: int) -> str:
    """Return the pseudonym of a person; people of different seeds are different people and so have other names."""
    return f"p{seed}-{index:06d}"


def identity(index: int, seed: int) -> Identity:
    """Return invented identifying fields; drawn apart from the person, so that nothing can be derived from them."""
    return next(identities([index], seed))


def identities(indices: Iterable[int], seed: int) -> Iterator[Identity]:
    """Yield the identity of each index."""
    faker = _faker()
    for index in indices:
        faker.seed_instance(f"{seed}/{index}/identity")
        address = faker.address().replace("\n", ", ")
        yield Identity(pseudonym(index, seed), faker.name(), faker.email(), address, faker.phone_number())


@lru_cache(maxsize=1)
def _faker() -> Faker:
    """Return a generator of invented fields, to be seeded for each person; to make one takes milliseconds."""
    from faker import Faker

    return Faker("en_US", use_weighting=False)  # four times faster; how common a name is does not matter


def draw(rng: np.random.Generator, name: str) -> Traits:
    """Draw one person's traits.

    Resting heart rate: Quer 2020 (10.1371/journal.pone.0227709), 65.5 +- 7.7; maximum: Tanaka 2001, 208 - 0.7 age.
    """
    z = rng.standard_normal(28).tolist()
    u = rng.random(16).tolist()
    age = _within(18 + 72 * rng.beta(1.5, 1.9), 18, 90)
    female = u[0] < 0.5
    sex = ("female" if female else "male") if u[1] < 0.985 else "other"
    height = _within((164 if female else 177) + 6.8 * z[0] - 0.05 * (age - 45), 140, 210)
    bmi = _within(math.exp(math.log(26) + 0.16 * z[1]), 17, 48)
    conditions = _conditions(u[2:9], age, bmi)
    medication = _medication(u[9:13], conditions)
    beta = "beta_blocker" in medication
    fit = 0.8 * z[2] - 0.35 * (bmi - 26) / 4
    vo2max = _within((37 if female else 44) - 0.28 * (age - 40) + 6 * fit, 16, 68)
    resting = 65.5 + 6.6 * z[3] - 3.0 * fit + (1.5 if female else -1.5) + 0.15 * (bmi - 26) - (7.5 if beta else 0)
    maximum = 208 - 0.7 * age + 7.5 * z[4] - (18 if beta else 0)
    pressure = 116 + 0.35 * (age - 40) + 0.5 * (bmi - 26) + 8 * z[5]
    pressure += 14 * ("hypertension" in conditions) - 11 * ("antihypertensive" in medication) - 5 * beta
    weak_lungs = "copd" in conditions
    profile = Profile(name, round(age), sex, round(height), round(bmi * (height / 100) ** 2, 1), conditions, medication)
    resting = _within(resting, 40, 105)
    return Traits(
        profile=profile,
        resting=resting,
        maximum=float(max(maximum, resting + 45)),
        vo2max=vo2max,
        tau_on=_within(1.4 * math.exp(0.22 * z[6] - 0.1 * fit), 0.8, 2.2),
        tau_off=_within(0.95 * math.exp(0.3 * z[7] - 0.12 * fit), 0.6, 2.5),
        noise=(math.exp(0.32 * z[8] - 0.004 * (age - 45))) * (0.85 if beta else 1.0),
        fast=(math.exp(0.15 * z[9])),
        swing=_within(1.0 * math.exp(0.4 * z[10]), 0.8, 8),
        active=_within(math.exp(0.18 + 0.38 * z[11] + 0.15 * fit - 0.006 * (age - 45)), 0.3, 2.2),
        sporty=_within(0.3 * math.exp(0.5 * z[12] + 0.3 * fit), 0.05, 0.9),
        chronotype=float(115 + 45 * z[13] - 0.8 * (age - 45)),
        sleep_need=_within(440 + 35 * z[14] - 0.6 * (age - 45), 330, 560),
        restless=(math.exp(0.3 * z[15] + 0.006 * (age - 45))),
        naps=_within(0.08 * math.exp(0.7 * z[16] + 0.012 * (age - 45)), 0.01, 0.6),
        offset=OFFSETS[int(u[14] * len(OFFSETS))],
        unworn=float(0.03 * math.exp(0.7 * z[17])),
        nights_off=_within(0.06 * math.exp(0.9 * z[18]), 0, 0.5),
        cycle=int(rng.integers(28)) if female and age < 50 and u[13] < 0.8 else -1,
        spo2=float(97.2 + 0.55 * z[19] - 0.015 * max(age - 50, 0) - 2.6 * weak_lungs),
        respiration=float(14.6 + 1.6 * z[20] + 0.08 * (bmi - 26) + 2.0 * weak_lungs),
        temperature=float(36.55 + 0.2 * z[21]),
        systolic=_within(pressure, 95, 165),
        diastolic=_within(0.5 * pressure + 16 + 5 * z[22], 55, 100),
        log_rmssd=float(3.55 - 0.012 * (age - 45) - 0.018 * (resting - 65) + 0.28 * z[23] + 0.15 * beta),
        snore=_within(
            0.4 * math.exp(0.7 * z[27] + 0.04 * (bmi - 26) + 0.9 * ("sleep_apnoea" in conditions) + 0.5 * weak_lungs),
            0.05,
            4,
        ),
        susceptible=_susceptible(conditions),
        whole_beats=u[15] < 0.25,
        bias=(float(0.7 * z[24]), float(0.08 * z[25]), float(3.0 * z[26])),
    )


def _within(value: float, low: float, high: float) -> float:
    return float(min(max(value, low), high))


def _conditions(u: list[float], age: float, bmi: float) -> tuple[str, ...]:
    old = _within((age - 30) / 50, 0, 1)
    share = {
        "hypertension": 0.06 + 0.4 * old + 0.01 * (bmi - 26),
        "copd": 0.01 + 0.08 * old,
        "asthma": 0.07,
        "heart_failure": 0.005 + 0.05 * old**2,
        "atrial_fibrillation": 0.003 + 0.07 * old**2,
        "diabetes": 0.02 + 0.12 * old + 0.008 * (bmi - 26),
        "sleep_apnoea": 0.04 + 0.012 * (bmi - 26),
    }
    found = tuple(name for chance, (name, p) in zip(u, share.items(), strict=True) if chance < p)
    return found or ("none",)


def _medication(u: list[float], conditions: tuple[str, ...]) -> tuple[str, ...]:
    heart = {"heart_failure", "atrial_fibrillation"} & set(conditions)
    pressure = "hypertension" in conditions
    share = {
        "beta_blocker": 0.65 if heart else 0.25 if pressure else 0.02,
        "antihypertensive": 0.6 if pressure else 0.02,
        "antiarrhythmic": 0.3 if "atrial_fibrillation" in conditions else 0.0,
        "inhaler": 0.7 if {"copd", "asthma"} & set(conditions) else 0.0,
    }
    found = tuple(name for chance, (name, p) in zip(u, share.items(), strict=True) if chance < p)
    return found or ("none",)


def _susceptible(conditions: tuple[str, ...]) -> dict[str, float]:
    has = set(conditions)
    return {
        "resting_tachycardia": 1.0,
        "bradycardia": 0.9,
        "irregular_rhythm": 0.9 + 2.0 * ("atrial_fibrillation" in has),
        "night_hypoxia": 0.9 + 1.5 * bool(has & {"copd", "sleep_apnoea"}),
        "fever": 0.8,
        "mild_infection": 1.0,
        "hypertensive": 0.8 + 0.7 * ("hypertension" in has),
        "chronotropic_incompetence": 0.8 + 0.7 * ("heart_failure" in has),
        "deterioration": 0.5 + 0.8 * ("heart_failure" in has),
    }
