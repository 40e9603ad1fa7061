"""The choice of cases is complete, small and the same in every process."""

import itertools

import pytest

from tests.pairwise import pairwise

STEPS = [f"step {number}" for number in range(9)]


@pytest.mark.parametrize(
    ("factors", "most"),
    [
        ([STEPS, ["before", "after"], "ab", "cd", "ef"], 20),
        ([list(itertools.product(STEPS, ["before", "after"])), "ab", "cd", "ef"], 36),
        ([range(3), range(3), range(3), range(3)], 12),
        ([range(5), range(4)], 20),
        ([["same", "other"], ["same", "other"]], 4),
    ],
    ids=["9 x 2 x 2 x 2 x 2", "18 x 2 x 2 x 2", "3 x 3 x 3 x 3", "5 x 4", "2 x 2"],
)
def test_every_pair_of_values_occurs_in_few_cases(factors, most):
    cases = pairwise(*factors)
    for (i, values), (j, others) in itertools.combinations(enumerate(factors), 2):
        pairs = {(case[i], case[j]) for case in cases}
        assert pairs == set(itertools.product(values, others)), (i, j)
    assert len(cases) == len(set(cases)) <= most
    assert pairwise(*factors) == cases
