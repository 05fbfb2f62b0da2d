"""The files that `leadgauge init` writes: a commented configuration and a model to start from."""

from importlib.resources import files
from pathlib import Path

from sync.yaml_source import ConfigError

MODEL = "model.yaml"

HYGIENE = """
# Junk, throw-away addresses and duplicates are held out before anything is scored: docs/model.md.
hygiene: {}
"""
"""What every model begins with, whatever its preset scores by."""


def presets() -> list[str]:
    """The names of the models that come with leadgauge."""
    return sorted(
        path.name.removesuffix(".yaml")
        for path in files("core.presets").iterdir()
        if path.name.endswith(".yaml")
    )


def write(folder: Path, preset: str) -> dict[Path, bool]:
    """Write config.yaml and model.yaml where they do not exist yet, and say of each whether it was
    written. The model is the preset, with hygiene.

    Raises ConfigError for a preset that there is not.
    """
    if preset not in presets():
        raise ConfigError([f"no preset is called {preset} (there are: {', '.join(presets())})"])
    folder.mkdir(parents=True, exist_ok=True)
    contents = {
        "config.yaml": files("sync").joinpath("config.example.yaml").read_text(encoding="utf-8"),
        MODEL: _preset(preset) + HYGIENE,
    }
    written = {}
    for name, text in contents.items():
        path = folder / name
        if missing := not path.exists():
            path.write_text(text, encoding="utf-8")
        written[path] = missing
    return written


def _preset(name: str) -> str:
    return files("core.presets").joinpath(f"{name}.yaml").read_text(encoding="utf-8")
