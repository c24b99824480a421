"""What all models have in common."""

from __future__ import annotations

from typing import Literal

from pydantic import BaseModel, ConfigDict, Field


class Model(BaseModel):
    """Base of all: immutable, strict about unknown fields, JSON by alias."""

    model_config = ConfigDict(
        defer_build=True,  # most commands need few of them
        frozen=True,
        extra="forbid",
        serialize_by_alias=True,
        validate_by_name=True,
        validate_by_alias=True,
    )


class Document(Model):
    """A model that stands alone in a file and so carries its schema version."""

    schema_version: Literal[1] = Field(default=1, alias="schema")
