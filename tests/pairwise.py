"""Fewer cases of a grid: every pair of values of two factors instead of every combination."""

import itertools
from collections import Counter
from collections.abc import Hashable, Iterable

Case = tuple[Hashable, ...]


def pairs_of(case: Case) -> set[tuple[int, int, Hashable, Hashable]]:
    """Return the pairs in a case: the positions of two factors and their values there."""
    return {(i, j, case[i], case[j]) for i, j in itertools.combinations(range(len(case)), 2)}


def pairwise(*factors: Iterable[Hashable]) -> list[Case]:
    """Return cases, one value of each factor in each, in which all pairs of values occur.

    This is for factors that act on a result at most two at a time. Three that act together are to
    be joined: with ``itertools.product(steps, moments)`` as one factor, every step and moment
    occurs with every value of each other factor.

    The cases are chosen greedily: the one with the most new pairs, of those the one whose pairs
    have occurred least, of those the first. So the same factors give the same cases in the same
    order, and values are mixed evenly. Each choice looks at the whole grid: up to some thousands of
    combinations that takes no time.
    """
    grid = {case: pairs_of(case) for case in itertools.product(*factors)}
    missing = set().union(*grid.values())
    occurred: Counter[tuple[int, int, Hashable, Hashable]] = Counter()

    def gain(case: Case) -> tuple[int, int]:
        return len(grid[case] & missing), -sum(occurred[pair] for pair in grid[case])

    cases = []
    while missing:
        cases.append(max(grid, key=gain))
        occurred.update(grid[cases[-1]])
        missing -= grid[cases[-1]]
    return cases
