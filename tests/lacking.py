"""Answers of the sandbox whose first row lacks what every row has."""

import gzip
import json

from connectors.sandbox.http import Around, Face, Request, Response


def lacking(*keys: str, of: str = "") -> Around:
    """The first row of each answer (with rows of an object) lacks some keys."""

    def around(face: Face, request: Request) -> Response:
        answer = face(request)
        packed = answer.headers.pop("Content-Encoding", "") == "gzip"
        body = json.loads(gzip.decompress(answer.body) if packed else answer.body)
        rows = body.get("results") or body.get("records") or body.get("events") or []
        if rows and rows[0].get("attributes", {}).get("type", "") == of:
            for key in keys:
                rows[0].pop(key, None)
        answer.body = json.dumps(body).encode()
        return answer

    return around
