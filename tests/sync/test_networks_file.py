"""The CSV file of networks beside a model: read, told by line, and part of the model."""

from pathlib import Path

import pytest
import yaml

from core.lint import lint
from sync.model_file import read_model
from sync.yaml_source import ConfigError

MODEL = {
    "name": "m",
    "behaviour": [{"id": "view", "points": 1, "when": {"type": "page_view"}}],
    "accounts": {
        "top": 10, "anonymous": {}, "networks": {"address": "ip", "file": "networks.csv"},
    },
    "thresholds": {"mql": 1, "sql": 2},
}  # fmt: skip


def model_file(folder: Path, text: str | None) -> Path:
    """A model file, and the file of networks that it names."""
    path = folder / "model.yaml"
    path.write_text(yaml.safe_dump(MODEL))
    if text is not None:
        (folder / "networks.csv").write_text(text, encoding="utf-8")
    return path


def test_a_file_of_networks_is_part_of_the_model(tmp_path: Path) -> None:
    """S215: rows as an export has them, with further columns; what is disputed is told by line;
    another content is another version."""
    text = (
        "\ufeffnetwork,company name,account,confidence\r\n"
        '203.0.113.0/24,"Acme, Inc.",Acme.example,0.87654\r\n'
        "2001:DB8::/32,B,001B,\r\n"
        "203.0.113.0/24,C,c.example,0.87654\r\n"
    )
    path = model_file(tmp_path, text)
    model = read_model(path)
    assert model.accounts
    assert model.accounts.networks
    assert [f"{link} {link.confidence}" for link in model.accounts.networks.known] == [
        "203.0.113.0/24 of acme.example 0.87654",
        "2001:db8::/32 of 001B 1",
        "203.0.113.0/24 of c.example 0.87654",
    ]
    (said,) = (f.what for f in lint(model) if f.place == ("accounts", "networks"))
    assert said.endswith(
        "203.0.113.0/24 of acme.example (networks.csv:2) and 203.0.113.0/24 of c.example "
        "(networks.csv:4)"
    )
    model_file(tmp_path, text.replace("0.87654", "0.9", 1))
    assert read_model(path).version != model.version


@pytest.mark.parametrize(
    ("text", "said"),
    [
        (None, ["networks.csv: No such file or directory: accounts.networks.file names it"]),
        ("", ["networks.csv:1: there is no column account: the first line names the columns"]),
        ("networks,account\n", ["networks.csv:1: there is no column network (is it networks?)"]),
        (
            "network,account,confidence\n203.0.113.7/24,a,0.5\n\n::1,,80%\n",
            [
                "networks.csv:2: network: '203.0.113.7/24' names an address within a network: did "
                "you mean 203.0.113.0/24?",
                "networks.csv:4: account: is missing",
                "networks.csv:4: confidence: Input should be a valid decimal",
            ],
        ),
    ],
)
def test_mistakes_are_told_by_line(tmp_path: Path, text: str | None, said: list[str]) -> None:
    """S215: all of them at once, each with its column and what was probably meant."""
    with pytest.raises(ConfigError) as caught:
        read_model(model_file(tmp_path, text))
    for one in said:
        assert any(one in problem for problem in caught.value.problems), caught.value.problems
