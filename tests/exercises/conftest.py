"""Gives the tests of ``answers.py`` the answers of the chapter whose module imports them."""

import pytest

pytest.register_assert_rewrite("answers")

# Test -> the table whose answers it takes one by one.
_TABLES = {
    "test_right_answers_are_accepted": "RIGHT",
    "test_common_mistakes_get_their_hint": "WRONG",
}


@pytest.fixture
def chapter(request):
    return request.module


def pytest_generate_tests(metafunc):
    if metafunc.function.__module__ != "answers":
        return
    if (name := metafunc.function.__name__) in _TABLES:
        table = getattr(metafunc.module, _TABLES[name])
        places = [(exercise_id, i) for exercise_id in table for i in range(len(table[exercise_id]))]
        metafunc.parametrize(("exercise_id", "place"), places)
    elif "exercise_id" in metafunc.fixturenames:
        metafunc.parametrize("exercise_id", metafunc.module.CHAPTER)
