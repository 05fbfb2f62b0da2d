"""Which record stands for one that was merged or converted away."""

from collections import defaultdict
from collections.abc import Iterable, Mapping


def followed(known: Mapping[str, str], pairs: Iterable[tuple[str, str]]) -> dict[str, str]:
    """Aliases after more records were merged, each by its last survivor: there are no chains.

    Where a survivor was itself an alias of the merged record, the newer word counts.
    """
    aliases = dict(known)
    followers: defaultdict[str, set[str]] = defaultdict(set)
    for old, survivor in aliases.items():
        followers[survivor].add(old)
    for old, survivor in pairs:
        end = aliases.get(survivor, survivor)
        if end == old:
            followers[old].discard(survivor)
            aliases.pop(survivor, None)
            end = survivor
        if end == old:
            continue
        moved = followers.pop(old, set()) | {old}
        followers[aliases.get(old, end)].discard(old)
        aliases.update(dict.fromkeys(moved, end))
        followers[end] |= moved
    return aliases
