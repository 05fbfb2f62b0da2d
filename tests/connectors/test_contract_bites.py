"""The contract can fail: each of its tests rejects a connector that breaks its promise."""

import pytest

from connectors.errors import ConnectorError
from connectors.sandbox.memory import MemoryConnector
from tests.connectors import wrong
from tests.contract import ConnectorContract
from tests.memory import memory_world

REJECTED_BY: dict[str, type[MemoryConnector]] = {
    "test_pages_have_the_schema_of_their_table": wrong.NaiveTimes,
    "test_streams_have_names_of_their_own": wrong.OneNameTwice,
    "test_keys_are_unique_in_a_page": wrong.RepeatedRows,
    "test_values_arrive": wrong.NoTitle,
    "test_fields_are_filled_as_declared": wrong.TitlesUndeclared,
    "test_what_is_lacking_is_never_filled": wrong.TitlesLacking,
    "test_company_people_and_owner_are_joined": wrong.NoAccount,
    "test_one_row_for_each_person": wrong.FirstPersonOnly,
    "test_empty": wrong.NoEmptyPage,
    "test_page_boundaries": wrong.FirstPageOnly,
    "test_every_cursor_resumes": wrong.SkipsOne,
    "test_equal_stamps_across_pages": wrong.StampOnly,
    "test_cursor_stays_within_the_window": wrong.CursorAhead,
    "test_second_pull_brings_only_changes": wrong.AllAgain,
    "test_late_commit_is_read": wrong.NeverLooksBack,
    "test_change_during_a_pull_is_not_lost": wrong.CursorOfTheLastAnswer,
    "test_unicode_and_nulls": wrong.AsciiOnly,
    "test_unreadable_value_is_reported": wrong.SilentlyEmpty,
    "test_complete_streams_show_all_that_lives": wrong.OnlyRecentOnes,
    "test_fields_without_a_stamp_are_declared": wrong.FormulasUndeclared,
    "test_a_name_that_is_not_mapped": wrong.MisspeltNamesPass,
    "test_narrow_pull_shows_what_it_names": wrong.NarrowToNothing,
    "test_read_again": wrong.ReadsOneAgain,
    "test_count": wrong.GuessedCount,
    "test_price": wrong.OnePageIsAll,
    "test_deleted": wrong.NoRemovals,
    "test_merged": wrong.NoSurvivors,
    "test_converted": wrong.ConvertedStay,
    "test_brought_back": wrong.OnceGoneForEver,
    "test_now": wrong.LocalTime,
    "test_wrong_credentials": wrong.CheckKnowsNothing,
    "test_check_only_reads": wrong.TriesAWrite,
    "test_fields_are_asked_for_once": wrong.AsksAgain,
    "test_mapped_field_that_is_not_there": wrong.AnyFieldWillDo,
    "test_rate_limit_in_a_pull_is_waited_out": wrong.Impatient,
    "test_rate_limit_in_a_write_is_waited_out": wrong.BlamesTheRecord,
    "test_missing_fields_are_created": wrong.CreatesNothing,
    "test_existing_field_is_left_alone": wrong.CreatesAnew,
    "test_written_fields_are_described": wrong.OwnerUndescribed,
    "test_written_is_read_back": wrong.WholePoints,
    "test_read_back_is_what_a_pull_shows": wrong.TextAsItLies,
    "test_one_result_for_each_change": wrong.FirstBatchOnly,
    "test_refused_record_stands_alone": wrong.AllOrNothing,
    "test_job_of_nobody": wrong.EveryJobIsDone,
    "test_unknown_id_is_refused": wrong.WrittenToNobody,
    "test_only_named_fields_are_sent": wrong.WholeRecord,
    "test_none_clears": wrong.NothingCleared,
    "test_lost_answer_is_settled_or_unknown": wrong.LostIsRefused,
    "test_what_ends_a_write_loses_no_result": wrong.TellsAtTheEnd,
    "test_merged_record_is_never_written_unsaid": wrong.SurvivorUnsaid,
    "test_read_back_of_gone_and_merged": wrong.AnswersUnderNewId,
    "test_stand_ins": wrong.NobodyStandsIn,
    "test_own_write_comes_back_as_present": wrong.NoEcho,
    "test_objects_are_those_that_leads_are": wrong.HalfTheObjects,
    "test_queue_is_assigned_as_declared": wrong.QueuesUndeclared,
    "test_entries_are_found_by_their_mark": wrong.AnyEntryWillDo,
    "test_entries_are_no_activities": wrong.CountsItsOwnTasks,
    "test_entry_whose_answer_is_lost": wrong.LostIsDone,
    "test_entry_on_nothing_is_refused": wrong.EntryOnNothing,
    "test_usage_counts_calls": wrong.FreeOfCharge,
}
"""Contract test -> the wrong connector that it rejects."""

CONTRACT = sorted(name for name in dir(ConnectorContract) if name.startswith("test_"))


def test_every_contract_test_has_a_wrong_connector() -> None:
    """S119: no test of the contract is without a connector that it must reject."""
    assert sorted(REJECTED_BY) == CONTRACT
    assert len(set(REJECTED_BY.values())) == len(CONTRACT)


@pytest.mark.parametrize("name", CONTRACT)
def test_wrong_connector_is_rejected(name: str) -> None:
    """S119: the test fails with the wrong connector, and passes with the right one."""
    test = getattr(ConnectorContract(), name)
    test(memory_world(MemoryConnector))
    with pytest.raises((AssertionError, ConnectorError)):
        test(memory_world(REJECTED_BY[name]))
