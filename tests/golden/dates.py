"""The parts of dates as pandas has them, for src/data/prepare/date.rs.

python3 -m venv .venv && . .venv/bin/activate
pip install pandas==2.3.3
python tests/golden/dates.py
"""

import json
import random
from pathlib import Path

import pandas as pd

draw = random.Random(7)
seconds = [draw.randrange(-2_000_000_000, 4_000_000_000) for _ in range(60)]
edges = ["1970-01-01", "1969-12-31T23:59:59", "2000-02-29T12:00", "1900-02-28", "2100-03-01", "2024-12-31T23:30", "2023-02-28T06:45"]
dates = pd.DatetimeIndex(edges).append(pd.to_datetime(seconds, unit="s"))
rows = [
    {
        "cell": date.isoformat(),
        "year": date.year,
        "month": date.month,
        "day": date.day,
        "weekday": date.weekday(),
        "hour": date.hour + date.minute / 60 + date.second / 3600,
        "days_in_month": date.days_in_month,
    }
    for date in dates
]
Path(__file__).with_suffix(".json").write_text(json.dumps(rows, indent=1) + "\n")
