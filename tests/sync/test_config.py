"""Configuration: every mistake with its address, all at once, and nothing YAML guesses."""

import re
from datetime import timedelta
from decimal import Decimal
from pathlib import Path

import pytest
from pydantic import BaseModel

from sync.config import Config, load, read_models
from sync.yaml_source import ConfigError, read_file

ROOT = Path(__file__).parent.parent.parent
ENV = {"SF_CLIENT_ID": "id", "SF_CLIENT_SECRET": "hush", "HUBSPOT_TOKEN": "hush-too"}
GOOD = """\
connections:
  sales:
    kind: salesforce
    url: https://acme.my.salesforce.com
    auth: {flow: client_credentials, client_id: ${SF_CLIENT_ID}, client_secret: ${SF_CLIENT_SECRET}}
"""


def problems(tmp_path: Path, text: str, env: dict[str, str] = ENV) -> list[str]:
    """The mistakes found in a configuration text, without the file's path."""
    path = tmp_path / "config.yaml"
    path.write_text(text, encoding="utf-8")
    with pytest.raises(ConfigError) as caught:
        load(path, env)
    return [problem.removeprefix(f"{path}:") for problem in caught.value.problems]


def test_the_example_loads_whole():
    """config.example.yaml is complete and right: every key of the configuration stands in it."""
    path = ROOT / "config.example.yaml"
    config = load(path, ENV)
    assert set(config.connections) == {"sales", "marketing"}
    for name in Config.model_fields:
        assert f"\n{name}:" in path.read_text(encoding="utf-8"), name


def test_the_example_loads_with_metrics_and_alerts(tmp_path):
    """What the example shows in comments is right as well."""
    text = (ROOT / "config.example.yaml").read_text(encoding="utf-8")
    head, service = text.split("\nmetrics:\n")
    service = re.sub(r"(?m)^  # ", "  ", service)
    path = tmp_path / "config.yaml"
    path.write_text(f"{head}\nmetrics:\n{service}", encoding="utf-8")
    url = "https://hooks.acme.example/secret"
    env = {**ENV, "SMTP_PASSWORD": "p", "ALERT_URL": url, "ALERT_TOKEN": "t"}
    env["EXPORT_SALT"] = "salt-of-16-letters"
    config = load(path, env)
    assert config.metrics is not None
    assert config.alerts is not None
    assert config.alerts.email is not None
    assert config.alerts.webhook is not None
    assert url not in repr(config)
    assert config.access is not None
    assert config.export_salt is not None
    assert "salt-of" not in repr(config)


def test_paths_are_meant_from_the_folder_of_the_file(tmp_path):
    """A daemon's working directory does not matter."""
    (tmp_path / "config.yaml").write_text(GOOD, encoding="utf-8")
    config = load(tmp_path / "config.yaml", ENV)
    assert config.facts == tmp_path / "facts.duckdb"
    assert [file.model for file in config.model] == [tmp_path / "model.yaml"]
    assert config.ledger == f"sqlite:///{tmp_path / 'ledger.db'}"


@pytest.mark.parametrize(
    ("extra", "expected"),
    [
        (
            "identity: {keys: [{sales: salesforce_id, marketing: id}]}\n",
            "6:20: identity.keys[0].sales: write custom.salesforce_id, or id for the record's own "
            "id",
        ),
        ("conections: {}\n", "6:1: conections: unknown key (did you mean connections?)"),
        ("guards: {max_cals: 3}\n", "6:10: guards.max_cals: unknown key (did you mean max_calls?)"),
        (
            "guards: {max_change_share: 2}\n",
            "6:10: guards.max_change_share: input should be less than or equal to 1",
        ),
        (
            "guards:\n  max_calls: many\n",
            "7:3: guards.max_calls: input should be a valid integer, unable to parse string as "
            "an integer",
        ),
        (
            "schedule: {delta: {every: 12:30}}\n",
            "6:20: schedule.delta.every: an interval is a number of seconds, minutes, hours or "
            "days: 15 minutes",
        ),
        (
            "schedule: {full: {every: 5 minutes, cron: '0 * * * *'}}\n",
            "6:12: schedule.full: give either every or cron",
        ),
        (
            "alerts: {webhook: {url: http://hooks.acme.example/secret}}\n",
            "6:20: alerts.webhook.url: must start with https:// (http:// only for a loopback "
            "address)",
        ),
        (
            "alerts: {email: {to: [ops], sender: l@a.example, server: smtp.a.example}}\n",
            "6:23: alerts.email.to[0]: must be an e-mail address, such as revops@acme.example",
        ),
        (
            "routing: {pool: [{owner: ann, weight: 0}]}\n",
            "6:31: routing.pool[0].weight: input should be greater than 0",
        ),
        ("routing: {stages: [SQL]}\n", "6:1: routing: pool is missing"),
        (
            "routing:\n  pool: [ann]\n  territories:\n"
            "    - {name: w, when: {regon: europe}, owners: [bob]}\n",
            "9:24: routing.territories[0].when.regon: unknown key (did you mean region?)",
        ),
        ("facts: a.duckdb\nfacts: b.duckdb\n", "7:1: facts is given twice"),
        ("model: []\n", "6:1: model: name at least one model"),
        (
            "model:\n  - {model: a.yaml}\n  - {model: b.yaml}\n",
            "6:1: model: model 1 has no `when`, so no later one scores any lead",
        ),
        (
            "model:\n  - {model: a.yaml, when: {regon: europe}}\n",
            "7:28: model[0].when.regon: unknown key (did you mean region?)",
        ),
        ('facts: "a\\0b"\n', "6:8: a text holds the character NUL"),
        ("facts: ${NOWHERE}\n", "6:8: environment variable NOWHERE is not set"),
        ("guards: {max_calls: 1\n", "7:1: not YAML: expected ',' or '}', but got '<stream end>'"),
    ],
)
def test_a_mistake_is_addressed_and_explained(tmp_path, extra, expected):
    """file:line:column, the path of the key, the reason, the nearest valid name."""
    assert problems(tmp_path, GOOD + extra) == [expected]


@pytest.mark.parametrize(
    ("connection", "expected"),
    [
        (
            "kind: pipedrive",
            "3:5: connections.crm.kind: there is no kind pipedrive (known: files, hubspot, "
            "salesforce)",
        ),
        (
            "kind: saleforce",
            "3:5: connections.crm.kind: there is no kind saleforce (did you mean salesforce?)",
        ),
        (
            "kind: hubspot\n    token: ${HUBSPOT_TOKEN}\n    url: http://api.hubapi.com",
            "5:5: connections.crm.url: must start with https:// (http:// only for a loopback "
            "address)",
        ),
        (
            "kind: hubspot\n    token: t\n    write: {scor: {field: x}}",
            "5:13: connections.crm.write.scor: input should be 'score', 'tier', 'stage', 'reason', "
            "'model', 'scored_at', 'owner', 'area' or 'buyer_stage'",
        ),
        (
            "kind: hubspot\n    token: t\n    write: {score: {field: x}, tier: {field: x}}",
            "5:5: connections.crm.write: field x is written by two outputs: give it to one",
        ),
        (
            "kind: hubspot\n    token: t\n    mapping:\n"
            "      leads: {city: [{field: x, origin: heard}]}",
            "6:33: connections.crm.mapping.leads.city[0].origin: input should be 'given', "
            "'observed' or 'appended'",
        ),
        (
            "kind: hubspot\n    token: t\n    mapping:\n"
            "      leads: {owner_id: [{field: x, origin: given}]}",
            "6:7: connections.crm.mapping.leads: owner_id is mapped to one field, not to a list",
        ),
        (
            "kind: hubspot\n    token: t\n    write: {score: {field: x, hold_days: 30}}",
            "5:5: connections.crm.write: score: hold_days goes with policy respect_edits alone",
        ),
        (
            "kind: hubspot\n    token: t\n    write: {owner: {field: x, hold_days: 30}}",
            "5:5: connections.crm.write: owner: hold_days is not for it, an owner somebody chose "
            "stays",
        ),
        (
            "kind: hubspot\n    token: t\n    write: {score: {field: x, policy: never_ever}}",
            "5:31: connections.crm.write.score.policy: input should be 'overwrite', "
            "'respect_edits', 'fill_empty' or 'never'",
        ),
    ],
)
def test_a_connection_is_checked_by_its_kind(tmp_path, connection, expected):
    """D38: one owner for each written field; each connector owns the schema of its section."""
    assert problems(tmp_path, f"connections:\n  crm:\n    {connection}\n") == [expected]


def test_all_mistakes_are_reported_at_once(tmp_path):
    """Not only the first one, and in the order of the file."""
    text = GOOD.replace("url:", "urrl:") + "guards: {max_change_share: -1}\nbla: 1\n"
    found = problems(tmp_path, text)
    assert [line.split(": ")[0] for line in found] == ["2:3", "4:5", "6:10", "7:1"]


def test_a_message_never_repeats_a_secret(tmp_path):
    """Not even where the secret itself is what is wrong."""
    text = "connections:\n  crm: {kind: hubspot, token: {client_id: a, secret: pat-secret}}\n"
    assert "pat-secret" not in "\n".join(problems(tmp_path, text))


@pytest.mark.parametrize(("content", "reason"), [(None, "No such file"), ("", "file is empty")])
def test_a_missing_or_empty_file(tmp_path, content, reason):
    """What to do is part of the message."""
    if content is not None:
        (tmp_path / "config.yaml").write_text(content)
    with pytest.raises(ConfigError, match=reason):
        load(tmp_path / "config.yaml", ENV)


class Anything(BaseModel):
    """A mapping of anything, to see what YAML text is read as."""

    v: dict[str, object]


@pytest.mark.parametrize(
    ("text", "value"),
    [
        ("NO", "NO"),
        ("on", "on"),
        ("yes", "yes"),
        ("12:30", "12:30"),
        ("0012", "0012"),
        ("1e3", "1e3"),
        ("2026-01-01", "2026-01-01"),
        ("true", True),
        ("false", False),
        ("null", None),
        ("12", 12),
        ("-3", -3),
        ("0.5", Decimal("0.5")),
        ("'12'", "12"),
        ("a ${X} b", "a y b"),
        ("'${X}'", "y"),
    ],
)
def test_yaml_does_not_guess(tmp_path, text, value):
    """Only true, false, null and plain decimal numbers are anything but text."""
    path = tmp_path / "a.yaml"
    path.write_text(f"v: {{on: {text}}}\n", encoding="utf-8")
    assert read_file(path, Anything, {"X": "y"}).data["v"] == {"on": value}


def test_the_model_file_is_checked_as_well(tmp_path):
    """S093: a model without thresholds is a mistake, not a default."""
    (tmp_path / "config.yaml").write_text(GOOD, encoding="utf-8")
    (tmp_path / "model.yaml").write_text(
        "name: m\nfit:\n  - {id: tech, points: 20, when: {industri: technology}}\n"
    )
    config = load(tmp_path / "config.yaml", ENV)
    with pytest.raises(ConfigError) as caught:
        read_models(config)
    path = tmp_path / "model.yaml"
    assert caught.value.problems == [
        f"{path}:1:1: the file: thresholds is missing",
        f"{path}:3:35: fit[0].when.industri: unknown key (did you mean industry?)",
    ]


def test_the_models_are_read_together(tmp_path):
    """S114: the mistakes of all files at once; two of one name could not be told apart."""
    models = "model:\n  - {model: a.yaml, when: {region: europe}}\n  - {model: b.yaml}\n"
    (tmp_path / "config.yaml").write_text(GOOD + models, encoding="utf-8")
    rest = "thresholds: {mql: 1, sql: 2}\nfit: [{id: x, points: 1, when: {title: CTO}}]\n"
    for names, expected in (
        (("one", "two"), None),
        (("one", "one"), ["two models are called one"]),
        (("''", "''"), [f"{tmp_path / file}:1:1: name:" for file in ("a.yaml", "b.yaml")]),
    ):
        for file, name in zip(("a.yaml", "b.yaml"), names, strict=True):
            (tmp_path / file).write_text(f"name: {name}\n{rest}")
        config = load(tmp_path / "config.yaml", ENV)
        if expected is None:
            assert [segment.model.name for segment in read_models(config)] == ["one", "two"]
            continue
        with pytest.raises(ConfigError) as caught:
            read_models(config)
        found = caught.value.problems
        assert all(f.startswith(e) for f, e in zip(found, expected, strict=True))


def test_the_example_of_several_models_loads(tmp_path):
    """The page's example is a whole configuration, and its sources are read as such."""
    page = (ROOT / "docs" / "several-models.md").read_text(encoding="utf-8")
    (text,) = re.findall(r"```yaml\n(.*?)```", page, re.DOTALL)
    (tmp_path / "config.yaml").write_text(text, encoding="utf-8")
    config = load(tmp_path / "config.yaml", ENV)
    assert [file.model.name for file in config.model] == [
        "consumer.yaml", "trials.yaml", "model.yaml",
    ]  # fmt: skip
    sources = config.connections["sales"].mapping.leads["employees"]
    assert isinstance(sources, tuple)
    assert [source.origin for source in sources] == ["given", "appended"]


def test_defaults():
    """What a user gets who says nothing."""
    config = Config.model_validate({"connections": {"crm": {"kind": "hubspot", "token": "t"}}})
    assert config.guards.max_change_share == 0.5
    assert config.schedule.delta.every == timedelta(minutes=15)
    assert config.schedule.full is None
    assert config.routing is None
