"""What is asked of the checks of every chapter.

A chapter's test module imports these tests and names, by exercise: RIGHT, the answers that must be
accepted; WRONG, the mistakes and a word of the hint that each must get; TELLS, what no hint may
say; CHAPTER, its exercises. ``conftest.py`` hands the names to the tests.
"""

from rslib.exercises import check


def test_every_exercise_has_answers_to_test(chapter):
    assert list(chapter.RIGHT) == list(chapter.WRONG) == chapter.CHAPTER
    # The solution and three more, and three common mistakes.
    assert all(len(answers) >= 4 for answers in chapter.RIGHT.values())
    assert all(len(answers) >= 3 for answers in chapter.WRONG.values())


def test_right_answers_are_accepted(chapter, exercise_id, place):
    verdict = check(exercise_id, chapter.RIGHT[exercise_id][place])
    assert verdict.correct, verdict.message


def test_common_mistakes_get_their_hint(chapter, exercise_id, place):
    answer, word = chapter.WRONG[exercise_id][place]
    verdict = check(exercise_id, answer)
    assert not verdict.correct
    assert word in verdict.message


def test_no_hint_tells_the_answer(chapter, exercise_id):
    if exercise_id in chapter.TELLS:
        for answer, _ in chapter.WRONG[exercise_id]:
            assert chapter.TELLS[exercise_id] not in check(exercise_id, answer).message
