"""The list of scalar settings: kinds, bounds, choices, and what is left out."""

from typing import Annotated, Literal

import pytest
from pydantic import BaseModel, Field

from kinemill.task.bounds import Count, Share
from kinemill.task.setting_list import Setting, settings_of
from kinemill.task.web_overrides import CODE, LOCAL


class Inner(BaseModel):
    share: Share = 0.5


class Part(BaseModel):
    count: Count = Field(default=3, description="of things")
    limit: Annotated[float, Field(gt=0.0, lt=1.0)] | None = None
    flag: bool = True
    name: str = "x"
    mode: Literal["a", "b"] | None = "a"
    type: Literal["part"] = "part"
    sizes: list[int] = []
    either: int | str = 1
    code: Annotated[str | None, CODE] = None
    folder: Annotated[str, LOCAL] = "/etc"
    inner: Inner = Inner()


SETTINGS = {setting.key: setting for setting in settings_of(Part(), "learn.")}


def test_numbers_have_bounds_that_are_spelled_out():
    assert SETTINGS["learn.count"] == Setting(
        "learn.count", 3, "integer", 0, 1_000_000, "must be > 0", (), "of things"
    )
    limit = SETTINGS["learn.limit"]
    assert (limit.value, limit.kind, limit.low, limit.high) == (None, "number", 0.0, 1.0)
    assert limit.bounds == "must be > 0 and < 1"


@pytest.mark.parametrize(
    ("key", "kind", "choices"),
    [("flag", "truth", ()), ("name", "text", ()), ("mode", "choice", ("a", "b"))],
)
def test_other_kinds_have_none(key, kind, choices):
    setting = SETTINGS[f"learn.{key}"]
    assert (setting.kind, setting.choices, setting.bounds) == (kind, choices, "")


def test_parts_below_have_their_key():
    assert SETTINGS["learn.inner.share"].value == 0.5


@pytest.mark.parametrize("key", ["type", "sizes", "either", "code", "folder", "inner"])
def test_lists_plug_ins_and_names_of_code_or_files_are_left_out(key):
    assert f"learn.{key}" not in SETTINGS
