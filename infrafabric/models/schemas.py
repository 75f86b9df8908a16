"""Schemas of the models' answers, imported late: the SDK, which loads pydantic too, is needed by then anyway."""

from __future__ import annotations

from pydantic import BaseModel, ConfigDict, Field


class Finding(BaseModel):
    # No docstrings here: pydantic would put them into the schema that the model receives.
    text: str = Field(description="One claim, complete in itself")
    confidence: float = Field(ge=0, le=1, description="How sure you are, from 0 to 1")
    sources: list[str] = Field(description="Where the claim comes from: URLs, documents, or 'reasoning'")


class AgentAnswer(BaseModel):
    findings: list[Finding] = Field(description="The findings, surest first")
    summary: str = Field(description="What the findings come to, in a few sentences")


class TaskPlan(BaseModel):
    model_config = ConfigDict(title="Plan")  # the model reads the title; a new name of ours is no reason to change it

    tasks: list[str] = Field(description="Tasks that can be worked in parallel, each complete in itself")


class ReportSummary(BaseModel):
    model_config = ConfigDict(title="Report")

    summary: str = Field(description="The report: what was found, how sure it is, what is missing")
