"""Mask expressions, as text."""

from __future__ import annotations

from hypothesis import strategies as st
from hypothesis.strategies import SearchStrategy

_ACROSS = st.one_of(
    st.just("full"), st.just("none"), st.integers(1, 4).map(lambda n: f"global({n})")
)
_WITHIN = st.one_of(
    st.just("full"),
    st.just("causal"),
    st.builds("window(before={}, after={})".format, st.integers(0, 5), st.integers(0, 5)),
    st.builds("dilated(step={}, reach={})".format, st.integers(1, 4), st.integers(1, 9)),
    st.integers(1, 6).map(lambda n: f"block({n})"),
    st.integers(1, 4).map(lambda n: f"global({n})"),
    st.just("none"),
)


def _joined(inner: SearchStrategy[str]) -> SearchStrategy[str]:
    return st.one_of(
        st.builds("{} | {}".format, inner, inner),
        st.builds("({}) & ({})".format, inner, inner),
        st.builds("~({})".format, inner),
    )


ACROSS = st.recursive(_ACROSS, _joined, max_leaves=3)
"""A mask between two different segments."""
WITHIN = st.recursive(_WITHIN, _joined, max_leaves=4)
"""A mask of one segment with itself."""


@st.composite
def attention(
    draw: st.DrawFn, queries: tuple[str, ...], keys: tuple[str, ...]
) -> str | dict[str, str]:
    """One mask, or masks by pair, of these query and key segments."""
    alone = len(queries) == 1 and queries == keys
    if draw(st.booleans()):
        pairs = [(q, k) for q in queries for k in keys]
        chosen = draw(st.lists(st.sampled_from(pairs), min_size=1, unique=True))
        return {f"{q} -> {k}": draw(WITHIN if q == k else ACROSS) for q, k in chosen}
    if alone:
        return draw(WITHIN)
    if queries == keys and draw(st.booleans()):
        return "causal"
    return draw(ACROSS)
