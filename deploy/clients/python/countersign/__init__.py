"""Verifies API keys and OAuth tokens with a Countersign service.

    client = countersign.Client("unix:/run/countersign/verify.sock")
    verdict = client.verify(text, scopes=["orders:read"])
    if verdict:
        print(verdict.identity.subject)
"""

from .cache import CacheOptions
from .client import Client, credentials_from_file
from .verdict import (
    AnswerNotUnderstood, CallerRefused, Identity, QuestionRefused, Requirement, Unavailable, Verdict, VerificationFailure,
)

__all__ = [
    "AnswerNotUnderstood", "CacheOptions", "CallerRefused", "Client", "Identity", "QuestionRefused", "Requirement", "Unavailable",
    "Verdict", "VerificationFailure", "credentials_from_file",
]
