"""What is counted of a CRM's limits: to the last call that there may be, and not one more."""

import pytest

from connectors.errors import BudgetSpent, QuotaExhausted
from connectors.usage import Quota, Usage


def heard(usage: Usage, used: int, limit: int = 1_000) -> None:
    """A call is made, and its answer says how much of the day's quota is used."""
    with usage.call("read"):
        usage.said(Quota(used, limit))


def test_the_share_of_a_day_is_used_to_its_last_call() -> None:
    """D24: calls count as they are made, as not every answer says how many there were; what would
    pass the share is refused as a whole, and not counted."""
    usage = Usage("crm", share=0.6)
    heard(usage, 597)
    with pytest.raises(QuotaExhausted, match=r"597 of today's 1,000 .* beyond 600 \(60%\)"):
        usage.count("write", 4)
    usage.count("write", 3)
    with pytest.raises(QuotaExhausted):
        usage.count("read")
    assert usage.calls == {"read": 1, "write": 3}


def test_what_an_answer_says_counts_be_it_less() -> None:
    """A new day begins with its own count. Of calls that are under way together, answers come in
    any order: the most counts, and what is under way beside them."""
    usage = Usage("crm", share=0.6)
    heard(usage, 590)
    heard(usage, 5)
    assert usage.daily_used == 5
    with usage.call("read"), usage.call("read"):
        usage.said(Quota(20, 1_000))
        usage.said(Quota(10, 1_000))
    assert usage.daily_used == 21


def test_a_budget_is_used_to_its_last_call() -> None:
    """U06: the call beyond it is not made, and is kept as what the run ended for."""
    usage = Usage("crm", budget=3)
    usage.count("read", 2)
    with pytest.raises(BudgetSpent):
        usage.count("write", 2)
    usage.count("write")
    with pytest.raises(BudgetSpent, match="3 calls are made of the budget of 3") as raised:
        usage.count("read")
    assert usage.spent is raised.value
    assert usage.calls == {"read": 2, "write": 1}
