"""The section of a Pareto front, from made-up fronts of two and of three objectives."""

from __future__ import annotations

from netwright.report.draw.front import Front, Member, front_figure, front_sections, hypervolume_figure
from netwright.report.numbers import numbers
from netwright.report.sections import Page, render_page


def front_of_three() -> Front:
    return Front(
        names=("dice", "parameters", "inference_ms"),
        trials=((0, (0.8, 2000.0, 5.0)), (1, (0.7, 1000.0, 4.0)), (3, (0.6, 2500.0, 6.0))),
        members=(
            Member(0, "wide", (0.8, 2000.0, 5.0), (0.85, 2000.0, 5.1)),
            Member(1, "narrow", (0.7, 1000.0, 4.0)),
        ),
        shares=(0.2, 0.5, 0.5),
    )


def test_each_further_objective_has_a_panel_with_its_numbers() -> None:
    head, *rows = numbers(front_figure(front_of_three()))
    assert {"parameters", "inference_ms", "dice"} <= set(head)
    told = [dict(zip(head, row, strict=True)) for row in rows]
    assert sum(row["series"] == "front" for row in told) == 4
    beaten = [row for row in told if row["series"] == "beaten"]
    assert [row["about"] for row in beaten] == ["trial 3", "trial 3"]
    assert [float(row["dice"]) for row in beaten] == [0.6, 0.6]


def test_two_objectives_have_a_line_along_the_front() -> None:
    three = front_of_three()
    two = Front(
        three.names[:2],
        tuple((n, v[:2]) for n, v in three.trials),
        tuple(Member(m.number, m.choice, m.values[:2]) for m in three.members),
        three.shares,
    )
    line = next(trace for trace in front_figure(two).data if trace.mode == "lines")
    assert (list(line.x), list(line.y)) == ([1000.0, 2000.0], [0.7, 0.8])
    (head, *rows) = numbers(hypervolume_figure(two))
    assert [float(row[head.index("hypervolume")]) for row in rows] == [0.2, 0.5, 0.5]


def test_the_page_has_the_members_and_what_they_became() -> None:
    page = render_page(Page("title", "kicker", front_sections(front_of_three())))
    for text in ("2 networks of 3 trained ones", "dice, trained in full", "0.850", "narrow", "front.csv"):
        assert text in page
    assert front_sections(None) == ()
    empty = render_page(Page("title", "kicker", front_sections(Front(("dice", "flops"), (), (), ()))))
    assert "No network has all objectives yet" in empty
