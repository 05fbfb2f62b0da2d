"""Serve the sandbox CRMs for anyone to play with, and write the configuration for them."""

import os
import shlex
from collections.abc import Callable, Sequence
from contextlib import ExitStack
from pathlib import Path
from socket import create_server, socket

from connectors.sandbox.http import Fault
from connectors.sandbox.hubspot import faults as hubspot
from connectors.sandbox.run import Sandbox
from connectors.sandbox.salesforce import faults as salesforce
from sync import templates
from sync.stop import Stop
from sync.yaml_source import ConfigError

CONFIG = """\
connections:
  sales:
    kind: salesforce
    url: {salesforce}
    auth:
      flow: client_credentials
      client_id: ${{SF_CLIENT_ID}}
      client_secret: ${{SF_CLIENT_SECRET}}
    mapping:
      leads: {{technologies: Tech_Stack__c, accepted_at: Sales_Accepted__c}}
      accounts: {{technologies: Tech_Stack__c}}
      activities: {{asset: Asset__c, area: Area__c, channel: Channel__c, campaign: Campaign__c}}
  marketing:
    kind: hubspot
    url: {hubspot}
    token: ${{HUBSPOT_TOKEN}}
    mapping:
      leads:
        technologies: tech_stack
        accepted_at: sales_accepted_at
        custom.salesforce_id: salesforce_id
      accounts: {{technologies: tech_stack}}
      # The forms give papers away.
      activity_types: {{form_submission: download}}
# By key alone: both CRMs hold the same sample, so that addresses would join everybody, and what
# one CRM keeps by the day and the other by the second would count twice.
identity:
  email: false
  keys: [{{marketing: custom.salesforce_id, sales: id}}]
routing:
  stages: [SQL]
  pool: [{pool}]
  unassigned_owners: [{integration}]
"""
LOOPBACK = "127.0.0.1"
FACES = {"salesforce": salesforce, "hubspot": hubspot}


def config_for(sandbox: Sandbox) -> str:
    """The configuration that connects leadgauge with a running sandbox."""
    return CONFIG.format(
        salesforce=sandbox.salesforce.url,
        hubspot=sandbox.hubspot.url,
        pool=", ".join(sandbox.reps()),
        integration=sandbox.robot(),
    )


def serve(
    ports: tuple[int, int],
    sample: tuple[int, int],
    faults: Sequence[str],
    rate: float | None,
    minutes: float,
    stop: Stop,
    say: Callable[[str], None],
) -> None:
    """Serve both CRMs on `ports` with a `sample` of (leads, seed) until stopped or time is up.

    With a `rate` the faults strike at random, by the same seed, and not each in its own time.
    Writes config.yaml and model.yaml for them into the folder sandbox/, and says how to go on.
    """
    chosen = [_fault(name) for name in faults]
    with ExitStack() as tried:
        for face, port in zip(FACES, ports, strict=True):
            tried.enter_context(_listening(face, port))
    leads, seed = sample
    with Sandbox.start(
        seed=seed, leads=leads, salesforce_port=ports[0], hubspot_port=ports[1]
    ) as sandbox:
        for name, (face, fault) in zip(faults, chosen, strict=True):
            random = fault if rate is None else fault.at_random(rate, f"{seed} {name}")
            getattr(sandbox, face).faults.append(random)
        folder = Path("sandbox")
        folder.mkdir(exist_ok=True)
        (folder / "config.yaml").write_text(config_for(sandbox), encoding="utf-8")
        templates.write(folder, "weighted")
        say(f"Salesforce at {sandbox.salesforce.url}, HubSpot at {sandbox.hubspot.url}")
        say("in another terminal:")
        for name, value in sandbox.environment().items():
            say(f"  export {name}={shlex.quote(value)}")
        for command in ("setup --yes", "plan", "sync", "sync"):
            say(f"  leadgauge {command} --config sandbox/config.yaml")
        say(f"stops after {minutes:g} minutes, or with Ctrl-C")
        stop.wait(minutes * 60)


def known_faults() -> list[str]:
    """Every fault by the name that it is switched on by, with what it is."""
    return [f"{f}:{n}: {why}" for f, faults in FACES.items() for n, why in faults.FAULTS.items()]


def _listening(face: str, port: int) -> socket:
    """The port of a face, as long as nobody serves there. Raises ConfigError where it is taken."""
    try:
        return create_server((LOOPBACK, port))
    except OSError as error:
        problem = f"cannot listen on {LOOPBACK}:{port}: {os.strerror(error.errno or 0)}"
        raise ConfigError([f"{problem}: choose another port with --{face}-port"]) from None


def _fault(name: str) -> tuple[str, Fault]:
    """The face and the fault that `face:name` means. Raises ConfigError naming those there are."""
    face, _, fault = name.partition(":")
    if face in FACES and fault in FACES[face].FAULTS:
        return face, FACES[face].fault(fault)
    raise ConfigError([f"no fault is called {name}; there are:", *known_faults()])
