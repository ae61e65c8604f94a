"""Who may influence whom in one sample of a case, from the spec."""

from __future__ import annotations

from mmspec.verify.lab.case import Case
from mmspec.verify.reference.reach import Reach
from mmspec.verify.reference.reach import reach as connections
from mmspec.verify.subject import Subject


def reach(subject: Subject, case: Case, sample: int, embedded: bool = False) -> Reach:
    """The connections in one sample of a case; embedded: with tokens as they are embedded."""
    documents = {name: ids[sample].tolist() for name, ids in case.batch.documents.items()}
    raw = case.batch.raw(sample)
    return connections(subject.spec, raw, documents, case.mode == "train", embedded)
