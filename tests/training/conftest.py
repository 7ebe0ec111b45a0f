"""The fixtures of `balls`."""

from balls import balls, build, make_balls, oracle, problem, task

__all__ = ["balls", "build", "make_balls", "oracle", "problem", "task"]
