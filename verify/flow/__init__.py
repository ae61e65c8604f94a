"""Who may influence whom: decided for every length where it can be, shown on the model where not.

ask(plan, question) -> Answer: never (and for which lengths), or a Path in words with the
shortest lengths that show it.
causality(plan, name), no_flow(plan, source, target) -> questions of the claims.
reaches(plan, source, target), looks_ahead(plan, name) -> Path | None.
matrices(plan, origin, lengths) -> by (value, segment) bool [tokens, tokens of the origin].
relation(mask, query, key) -> what a mask connects at any length.
"""

from mmspec.verify.flow.exact import longest, matrices
from mmspec.verify.flow.masks import Relation, relation
from mmspec.verify.flow.questions import (
    Answer,
    Path,
    Question,
    ask,
    causality,
    looks_ahead,
    no_flow,
    reaches,
)
from mmspec.verify.flow.walk import Origin

__all__ = [
    "Answer",
    "Origin",
    "Path",
    "Question",
    "Relation",
    "ask",
    "causality",
    "longest",
    "looks_ahead",
    "matrices",
    "no_flow",
    "reaches",
    "relation",
]
