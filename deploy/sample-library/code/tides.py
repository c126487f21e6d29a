"""Predict the height of the tide at Tidestone from its harmonic constants."""

import math
from datetime import UTC, datetime

EPOCH = datetime(2024, 1, 1, tzinfo=UTC)
MEAN_LEVEL_METRES = 3.12

# name: (speed in degrees per hour, amplitude in metres, phase lag in degrees)
CONSTITUENTS = {
    "M2": (28.9841042, 1.62, 142.0),
    "S2": (30.0000000, 0.54, 187.0),
    "N2": (28.4397295, 0.31, 121.0),
    "K1": (15.0410686, 0.09, 34.0),
    "O1": (13.9430356, 0.07, 301.0),
    "M4": (57.9682084, 0.12, 256.0),
}


def height_metres(moment: datetime) -> float:
    """Sum the constituents: the moon and the sun each add a cosine of their own period."""
    hours = (moment - EPOCH).total_seconds() / 3600
    waves = (
        amplitude * math.cos(math.radians(speed * hours - phase))
        for speed, amplitude, phase in CONSTITUENTS.values()
    )
    return MEAN_LEVEL_METRES + sum(waves)


def is_spring_tide(moment: datetime) -> bool:
    """True when moon and sun pull together, so that M2 and S2 are within thirty degrees of each other."""
    hours = (moment - EPOCH).total_seconds() / 3600
    angle = (30.0 - 28.9841042) * hours - (187.0 - 142.0)
    return abs((angle + 180) % 360 - 180) < 30
