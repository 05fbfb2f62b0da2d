"""Check names all that is wrong in the configuration and in its model files, in one list."""

import json
from pathlib import Path

import pytest

from sync.cli import run
from sync.exits import Exit
from sync.session import Outside
from tests.world import Clock

SOUND = "connections: {crm: {kind: hubspot, token: pat}}\n"
BROKEN = f"{SOUND}guards: {{max_calls: -1}}\n"
OF_CONFIG = "config.yaml:2:10 guards.max_calls: input"
FIT = "fit: [{id: x, points: 2, when: {title: x}}]\n"
ACCOUNTS = (
    "behaviour: [{id: y, points: 2, when: {type: page_view}}]\n"
    "accounts: {top: 9, anonymous: {}, networks: {address: ip, file: f.csv}}\n"
)
MODELS = {
    "a.yaml": f"name: a\nthresholds: {{mql: 2, sql: 1}}\n{FIT}",
    "b.yaml": f"name: b\nthresholds: {{mql: 3, sql: 4}}\ntiers: {{A: x}}\n{FIT}",
    "c.yaml": "name: [",
    "d.yaml": f"name: d\nthresholds: {{mql: 3, sql: 4}}\n{FIT}{ACCOUNTS}",
    "e.yaml": f"name: e\nthresholds: {{mql: 3, sql: 4}}\n{FIT}{ACCOUNTS}",
    "f.csv": "network,account\n::x,a.example\n",
}
OF_A = ["a.yaml:2:1 thresholds: sql 1 must be above mql 2"]
OF_B = ["b.yaml:3:9 tiers.A: input should be"]
OF_C = ["c.yaml:1:8 not YAML"]
WHEN = "when: {title: x}"
CASES: dict[str, tuple[str, list[str]]] = {
    "one model": (f"{BROKEN}model: a.yaml\n", [OF_CONFIG, *OF_A]),
    "several": (
        f"{BROKEN}model: [{{model: c.yaml, {WHEN}}}, {{model: b.yaml, {WHEN}}}, {{model: a.yaml}}]",
        [OF_CONFIG, *OF_C, *OF_B, *OF_A],
    ),
    "one is given twice, one is wrong, one has a name that is not known": (
        f"{SOUND}model: [{{model: b.yaml}}, 3, {{model: '${{NO}}/a.yaml', {WHEN}}},"
        " {model: b.yaml, whn: 4}, {model: none.yaml}]",
        ["config.yaml:2:26 model[1]: there must be", "config.yaml:2:37 environment variable NO",
         "config.yaml:2:88 model[3].whn: unknown key", *OF_B, "none.yaml No such file"],
    ),
    "two that name one file of networks": (
        f"{BROKEN}model: [{{model: d.yaml, {WHEN}}}, {{model: e.yaml}}]",
        [OF_CONFIG, "f.csv:2:1 network: '::x' is no IP network"],
    ),
    "the same, in a sound configuration": (
        f"{SOUND}model: [{{model: d.yaml, {WHEN}}}, {{model: e.yaml}}]",
        ["f.csv:2:1 network: '::x' is no", "d.yaml:5:46 accounts.networks.address is custom.ip",
         "e.yaml:5:46 accounts.networks.address is custom.ip"],
    ),
    "the key is wrong": (f"{SOUND}modl: a.yaml", ["config.yaml:2:1 modl: unknown key"]),
    "sound, with a model that can not be read": (
        f"{SOUND}model: [{{model: c.yaml, {WHEN}}}, {{model: b.yaml}}]", [*OF_C, *OF_B],
    ),
}  # fmt: skip


@pytest.mark.parametrize("default", ["", "model.yaml"])
@pytest.mark.parametrize("case", CASES)
def test_no_file_hides_what_is_wrong_in_another(
    tmp_path: Path, capsys: pytest.CaptureFixture[str], case: str, default: str
) -> None:
    """U20: all of both, in the order of the files, each once, and none that only misses what is
    wrong; the model file by default where it is there and none is named."""
    config, expected = CASES[case]
    for name, text in {**MODELS, "config.yaml": config}.items():
        (tmp_path / name).write_text(text)
    if default:
        (tmp_path / default).write_text(MODELS["a.yaml"])
        if "model:" not in config:
            expected = [*expected, *(one.replace("a.yaml", default) for one in OF_A)]
    given = ["check", "--json", "--config", str(tmp_path / "config.yaml")]
    code = run(given, Outside({}, Clock()))
    assert code == Exit.USAGE
    said = capsys.readouterr()
    found = json.loads(said.out)
    told = [f"{one['where'].removeprefix(f'{tmp_path}/')} {one['what']}" for one in found]
    assert len(told) == len(expected), told
    for one, start in zip(told, expected, strict=True):
        assert one.startswith(start)
    assert said.err.count("error: ") == len(told)


def test_a_file_that_is_tried_is_named_once(
    tmp_path: Path, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    """U20: also where it is a configured one, by another spelling of its path."""
    monkeypatch.chdir(tmp_path)
    (tmp_path / "a.yaml").write_text(MODELS["a.yaml"])
    for config, number in ((SOUND, 1), (BROKEN, 2)):
        (tmp_path / "config.yaml").write_text(f"{config}model: a.yaml\n")
        assert run(["check", "--model", "a.yaml"], Outside({}, Clock())) == Exit.USAGE
        assert capsys.readouterr().err.count("error: ") == number
