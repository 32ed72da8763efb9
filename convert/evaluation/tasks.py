"""The names of what can be scored; imported by the command line, which loads nothing else before it must."""

from typing import Literal, get_args

Task = Literal["detector", "mask", "landmarks", "pose", "eyes"]
TASKS: tuple[Task, ...] = get_args(Task)
