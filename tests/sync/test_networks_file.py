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
        (None, ["model.yaml:5:5: {}/networks.csv: No such file or directory: accounts.networks"]),
        (
            "",
            [
                "networks.csv:1:1: there is no column account: the first line names the columns",
                "networks.csv:1:1: there is no column network",
            ],
        ),
        (
            "account, networks\n",
            ["networks.csv:1:10: there is no column network (is it networks?)"],
        ),
        (
            "network,account,confidence\n203.0.113.7/24,a,0.5\n\n::1,,80%\n::2\n",
            [
                "networks.csv:2:1: network: '203.0.113.7/24' names an address within a network: "
                "did you mean 203.0.113.0/24?",
                "networks.csv:4:5: account: is missing",
                "networks.csv:4:6: confidence: Input should be a valid decimal",
                "networks.csv:5:4: account: is missing",
            ],
        ),
        (
            '\ufeffnote,"account", network,confidence\r\n"one, ""two""\r\nthree",a, "::x",2\r\n',
            [
                "networks.csv:3:11: network: '::x' is no IP network",
                "networks.csv:3:17: confidence: Input should be less than or equal to 1",
            ],
        ),
        (
            'network,account,note\n::1,a,x\n::2,b,"y\n::3,c,z\n',
            ["networks.csv:3:1: not CSV: unexpected end of data"],
        ),
        ("network,account\n::1,a\0b\n", ["networks.csv:2:6: the file holds the character NUL"]),
    ],
)
def test_mistakes_are_told_by_line_and_column(
    tmp_path: Path, text: str | None, said: list[str]
) -> None:
    """S215: all of them at once, each with its column and what was probably meant."""
    with pytest.raises(ConfigError) as caught:
        read_model(model_file(tmp_path, text))
    assert len(caught.value.problems) == len(said), caught.value.problems
    for one, problem in zip(said, caught.value.problems, strict=True):
        assert one.format(tmp_path) in problem


def test_what_is_no_text_is_told_by_its_place(tmp_path: Path) -> None:
    """S215: an export in another encoding."""
    path = model_file(tmp_path, None)
    (tmp_path / "networks.csv").write_bytes("network,account\n::1,é\n".encode("latin-1"))
    with pytest.raises(ConfigError, match=r"networks\.csv:2:5: not UTF-8 text \(byte 20\)"):
        read_model(path)
