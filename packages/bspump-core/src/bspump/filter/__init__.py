"""Filters: which events go on, and which attributes of them."""

from __future__ import annotations

from .attribute import AttributeFilter
from .content import ContentFilter
from .query import Query

__all__ = ["AttributeFilter", "ContentFilter", "Query"]
