"""What query and ingest jobs of Bulk API 2.0 have in common."""

from collections.abc import Mapping
from typing import Any

from connectors.errors import TemporaryError
from connectors.salesforce.client import SalesforceClient
from connectors.throttle import Sleep

FIRST_WAIT = 0.2
LONGEST_WAIT = 10.0
"""The library's own wait of 5 s before every look costs short jobs most of their time."""

PATIENCE = 2 * 3600.0
FINAL = frozenset({"JobComplete", "Failed", "Aborted"})


def wait_for_job(client: SalesforceClient, path: str, sleep: Sleep) -> Mapping[str, Any]:
    """The job, once it has ended, well or not.

    Raises TemporaryError past patience, Interrupted where the run was asked to stop.
    """
    wait, waited = FIRST_WAIT, 0.0
    while waited < PATIENCE:
        job: Mapping[str, Any] = client.get(path)
        if job["state"] in FINAL:
            return job
        client.look()
        sleep(wait)
        waited += wait
        wait = min(wait * 1.5, LONGEST_WAIT)
    raise TemporaryError(
        f"bulk job {job['id']} has not ended after {waited:.0f} s", connection=client.name
    )
