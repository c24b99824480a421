"""Helpers of the tour: what every look at the weather data starts with."""

from __future__ import annotations

import pandas as pd

COMFORT = (18.0, 26.0)  # degrees Celsius


def load(path: str) -> pd.DataFrame:
    """Read the measurements, with one row per day and a column of months."""
    days = pd.read_csv(path, parse_dates=["date"])
    days["month"] = days["date"].dt.month
    return days.dropna()


def comfortable(days: pd.DataFrame) -> pd.Series:
    """Whether each day was neither cold nor hot."""
    return days["temperature"].between(*COMFORT)
