"""Retrieval within one question's own paragraphs."""

from pmi_kernel.retrieval.base import Retriever, make_retriever
from pmi_kernel.retrieval.evidence import Evidence, evidence_text, retrieve
from pmi_kernel.retrieval.query import make_step0_query

__all__ = [
    "Evidence",
    "Retriever",
    "evidence_text",
    "make_retriever",
    "make_step0_query",
    "retrieve",
]
