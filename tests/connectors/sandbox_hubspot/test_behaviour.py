"""Events, marketing e-mail and form submissions."""

from typing import Any

from tests.connectors.sandbox_hubspot.world import MINUTE, MS, T0, World, refused


def test_events_of_one_contact(world: World) -> None:
    person, other = world.people(2)
    world.did(person, "page_view", T0, asset="/pricing")
    world.did(person, "trial_started", T0 + MINUTE, asset="Trial", area="crm", campaign="Spring")
    world.did(person, "call", T0 + MINUTE)
    world.did(other, "page_view", T0)
    api = world.client.events.events_api
    latest, first = api.get_page(object_type="contact", object_id=person.number).results
    assert (first.event_type, first.occurred_at) == ("e_visited_page", T0)
    assert first.properties["hs_url"].endswith(".example/pricing")
    assert latest.event_type == "pe1_trial_started"
    assert latest.properties == {"asset": "Trial", "area": "crm", "campaign": "Spring"}

    def found(**query: Any) -> list[str]:
        page = api.get_page(object_type="contact", object_id=person.number, **query)
        return [event.event_type for event in page.results]

    assert found(event_type="e_visited_page") == ["e_visited_page"]
    assert found(occurred_after=T0 + MINUTE) == ["pe1_trial_started"]
    assert found(occurred_before=T0) == ["e_visited_page"]
    page = api.get_page(object_type="contact", object_id=person.number, limit=1)
    assert found(limit=1, after=page.paging.next.after) == ["e_visited_page"]
    assert refused(lambda: api.get_page(object_type="contact"))[0] == 404
    assert refused(api.get_page)[0] == 400


def test_only_enterprise_accounts_have_events(world: World) -> None:
    world.options |= {"enterprise": False}
    person = world.person(last_name="L")
    api = world.client.events.events_api
    status, _ = refused(lambda: api.get_page(object_type="contact", object_id=person.number))
    assert status == 403


def test_email_events(world: World) -> None:
    person = world.person(email="A@x.example")
    for n in range(3):
        world.did(person, "email_open", T0 + n * MINUTE, campaign="May")
    world.did(person, "email_click", T0 + 3 * MINUTE, url="https://s.example/x")
    world.did(person, "email_open", T0 + 4 * MINUTE, outcome="bot")
    path = "/email/public/v1/events"
    rows = world.get(path)["events"]
    minute = 60_000
    assert [(r["type"], r["created"] - MS, r["filteredEvent"]) for r in rows] == [
        ("OPEN", 4 * minute, True),
        ("CLICK", 3 * minute, False),
        ("OPEN", 2 * minute, False),
        ("OPEN", minute, False),
        ("OPEN", 0, False),
    ]
    assert {row["recipient"] for row in rows} == {"a@x.example"}
    assert len({row["id"] for row in rows}) == 5
    assert len(world.get(path, filteredEvent="false")["events"]) == 4
    assert [r["type"] for r in world.get(path, eventType="CLICK")["events"]] == ["CLICK"]
    window = world.get(path, startTimestamp=MS + minute, endTimestamp=MS + 3 * minute)
    assert [row["created"] - MS for row in window["events"]] == [3 * minute, 2 * minute, minute]
    first = world.get(path, limit=4)
    rest = world.get(path, limit=4, offset=first["offset"])
    assert (first["hasMore"], rest["hasMore"]) == (True, False)
    assert first["events"] + rest["events"] == rows
    assert world.call("GET", path, limit=1001).status == 400


def test_form_submissions_come_newest_first_without_an_id(world: World) -> None:
    person = world.person(email="a@x.example", first_name="Ann")
    for n in range(60):
        world.did(person, "form_submission", T0 + n * MINUTE, asset="Contact us")
    path = "/marketing/v3/forms/"
    (form,) = world.get(path, formTypes="all")["results"]
    assert form["name"] == "Contact us"
    submissions = f"/form-integrations/v1/submissions/forms/{form['id']}"
    first = world.get(submissions, limit=50)
    rest = world.get(submissions, limit=50, after=first["paging"]["next"]["after"])
    rows = first["results"] + rest["results"]
    assert [row["submittedAt"] - MS for row in rows] == [n * 60_000 for n in range(59, -1, -1)]
    assert "paging" not in rest
    assert {v["name"]: v["value"] for v in rows[0]["values"]} == {
        "email": "a@x.example",
        "firstname": "Ann",
    }
    assert len(world.get(submissions)["results"]) == 20
    assert world.call("GET", submissions, limit=51).status == 400
    assert world.call("GET", "/form-integrations/v1/submissions/forms/none").status == 404


def test_forms_of_other_makers_are_listed_when_asked_for(world: World) -> None:
    person = world.person(email="a@x.example")
    for n in range(12):
        world.did(person, "form_submission", asset=f"Form {n}")
    api = world.client.marketing.forms.forms_api
    everything = api.get_page(form_types=["all"], limit=100).results
    own = api.get_page(limit=100).results
    assert len(everything) == 12
    assert {form.form_type for form in own} == {"hubspot"}
    assert 0 < len(own) < 12
