"""Verdicts on measured numbers: tests, states, and the words for them. No TensorFlow."""
from tfisovae.verdict.findings import Finding, Kind
from tfisovae.verdict.isometry import Isometry, Part
from tfisovae.verdict.record import Reason, ReasonKind, Verdict
from tfisovae.verdict.states import BetaState, ClaimState, IsometryState, Severity, State

__all__ = [
    "BetaState", "ClaimState", "Finding", "Isometry", "IsometryState", "Kind", "Part", "Reason",
    "ReasonKind", "Severity", "State", "Verdict"
]
