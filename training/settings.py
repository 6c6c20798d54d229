"""config.toml as frozen dataclasses."""

import tomllib
from dataclasses import dataclass
from pathlib import Path

CONFIG = Path(__file__).with_name("config.toml")


@dataclass(frozen=True)
class Stage:
    """Settings of one stage of training; config.toml explains the fields."""

    name: str
    kind: str
    steps: int
    batch: int
    muon_rate: float
    adam_rate: float
    tasks: dict[str, float]
    cells: int = 12
    tower_rate: float = 1.0
    warmup: int = 50
    decay: float = 0.5
    final: float = 0.02
    naming: float = 0.3
    placing: float = 0.0
    pointing: float = 0.0
    pages: int = 0
    drills: int = 0
    strips: float = 0.0
    strip_batch: int = 32
    crops: float = 0.0
    breadth: float = 1.0


@dataclass(frozen=True)
class Config:
    """Settings of a whole training run."""

    seed: int
    network: dict[str, int]
    stages: tuple[Stage, ...]


def load_config(path: Path = CONFIG) -> Config:
    """Load the settings of a TOML file."""
    raw = tomllib.loads(path.read_text())
    return Config(raw["seed"], raw["network"], tuple(Stage(**stage) for stage in raw["stages"]))
