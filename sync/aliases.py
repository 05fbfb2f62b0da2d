"""Which record stands for one that was merged or converted away, and since when."""

from collections import defaultdict
from collections.abc import Iterable
from dataclasses import dataclass, replace
from datetime import datetime


@dataclass(frozen=True)
class Merge:
    """A record was merged or converted into another one."""

    id: str
    survivor: str
    at: datetime


@dataclass(frozen=True)
class Alias:
    """`survivor` stands for `id` from `valid_from` (inclusive) to `valid_to` (exclusive)."""

    id: str
    survivor: str
    valid_from: datetime
    valid_to: datetime | None = None


def followed(known: Iterable[Alias], merges: Iterable[Merge]) -> list[Alias]:
    """The open aliases after more records were merged, and those that ended by it.

    Each names the last survivor of its time: there are no chains. Where a survivor was itself an
    alias of the merged record, the newer word counts. `merges` come in the order of time.
    """
    aliases = {alias.id: alias for alias in known}
    ended: list[Alias] = []
    followers: defaultdict[str, set[str]] = defaultdict(set)
    for alias in aliases.values():
        followers[alias.survivor].add(alias.id)

    def end(id_: str, at: datetime) -> None:
        alias = aliases.pop(id_, None)
        if alias is not None:
            followers[alias.survivor].discard(id_)
            if at > alias.valid_from:
                ended.append(replace(alias, valid_to=at))

    for merge in merges:
        onward = aliases.get(merge.survivor)
        last, at = (onward.survivor, onward.valid_from) if onward else (merge.survivor, merge.at)
        if last == merge.id:
            end(merge.survivor, merge.at)
            last, at = merge.survivor, merge.at
        if last == merge.id:
            continue
        for id_ in sorted(followers[merge.id] | {merge.id}):
            before = aliases.get(id_)
            if before is not None and before.survivor == last:
                continue
            if before is None and merge.at < at:
                ended.append(Alias(id_, merge.survivor, merge.at, at))
            since = max(at, merge.at, before.valid_from if before else at)
            end(id_, since)
            aliases[id_] = Alias(id_, last, since)
            followers[last].add(id_)
    return [*ended, *aliases.values()]
