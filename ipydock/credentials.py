"""Credentials told by their form: in cells, in local modules and in files that would be copied.

Only forms that nothing else has: private keys, tokens with a prefix of their issuer, URLs with a
password. No entropy is measured and no variable name is believed, since tables are full of random
text. What a form is, detect-secrets decides (its plug-ins, without its network checks); the
patterns here find the few places that it is asked about, so that it is not even imported for most
notebooks, and give the span to mask. Forms that it does not know are marked None and come from
their issuers' documentation.
"""

from __future__ import annotations

import re
from collections.abc import Iterator
from functools import cache
from itertools import islice
from pathlib import Path
from typing import Any, NamedTuple

MOST_BYTES = 256_000  # of one file that are looked at
MOST_CHARACTERS = 2_000_000  # of one cell or module
MOST_CANDIDATES = 100  # of one kind in one text; more would only repeat
MASK = "***"
# The comment with which detect-secrets, too, is told that a line holds nothing secret.
ALLOWED = re.compile(r"pragma:\s*(allow|white)list[ -]secret", re.IGNORECASE)
# A user and password that stand for nobody's: in examples, templates, databases of a test.
PLACEHOLDER = re.compile(
    r"""
    <.*> | \{.*\} | \$.* | %.* | \[.*\] | \*+ | \.+ | x+ | y+ | -+
    | (my|your|the|db|user|some|super|very)?[_-]?
      (secret[_-]?)?(pass(word|wd|phrase)?|pwd|pw|secret|token|api_?key|key)\d*(here)?
    | user(name)?\d* | foo | bar | baz | test(ing)? | guest | root | admin | postgres | mysql
    | changeme | example | hunter2 | 1234\d* | none | null | scott | tiger
    """,
    re.VERBOSE | re.IGNORECASE,
)

# Kind -> (module and class of detect-secrets, the span; a literal that every span holds).
_FORMS: dict[str, tuple[str | None, str, tuple[str, ...]]] = {
    "private key": (
        "private_key.PrivateKeyDetector",
        r"BEGIN (?:[A-Z0-9]+ ){0,3}PRIVATE KEY|PuTTY-User-Key-File-[23]",
        ("PRIVATE KEY", "PuTTY-User-Key-File"),
    ),
    "AWS access key": (
        "aws.AWSKeyDetector",
        r"\b(?:A3T[A-Z0-9]|ABIA|ACCA|AKIA|ASIA)[0-9A-Z]{16}\b"
        r"|[aA][wW][sS].{0,50}?['\"][0-9a-zA-Z/+]{40}['\"]",
        ("A3T", "ABIA", "ACCA", "AKIA", "ASIA", "aws", "AWS", "Aws"),
    ),
    "GitHub token": (
        "github_token.GitHubTokenDetector",
        r"\bgh[pousr]_[A-Za-z0-9_]{36,255}",
        ("ghp_", "gho_", "ghu_", "ghs_", "ghr_"),
    ),
    "GitHub fine-grained token": (None, r"\bgithub_pat_[A-Za-z0-9]{22}_\w{59}", ("github_pat_",)),
    "GitLab token": (
        "gitlab_token.GitLabTokenDetector",
        r"\b(?:glpat|gldt|glft|glsoat|glrt|GR1348941)-?[A-Za-z0-9_-]{20,50}",
        ("glpat", "gldt", "glft", "glsoat", "glrt", "GR1348941"),
    ),
    "Slack token": (
        "slack.SlackDetector",
        r"\bxox[abposr]-(?:\d+-)+[A-Za-z0-9]+|hooks\.slack\.com/services/T\w+/B\w+/\w+",
        ("xox", "hooks.slack.com"),
    ),
    "Stripe key": ("stripe.StripeDetector", r"\b[rs]k_live_[0-9A-Za-z]{24,99}", ("k_live_",)),
    "JSON web token": (
        "jwt.JwtTokenDetector",
        # Only where a run of these characters begins, or one of "eyJ-eyJ-" is read again and again.
        r"(?<![\w-])eyJ[\w-]{8,4000}\.eyJ[\w-]{4,4000}\.[\w.+/=-]{10,4000}",
        ("eyJ",),
    ),
    "OpenAI key": (
        "openai.OpenAIDetector",
        r"(?<![\w-])sk-[\w-]{20,200}?T3BlbkFJ[\w-]{20,200}",
        ("T3BlbkFJ",),
    ),
    "PyPI token": ("pypi_token.PypiTokenDetector", r"\bpypi-AgE[\w-]{70,400}", ("pypi-AgE",)),
    "npm token": ("npm.NpmDetector", r"//.{1,100}:_authToken=\s*[\w.-]{10,200}", ("_authToken",)),
    "SendGrid key": (
        "sendgrid.SendGridDetector",
        r"\bSG\.[\w-]{22}\.[\w-]{43}",
        ("SG.",),
    ),
    "Azure storage key": (
        "azure_storage_key.AzureStorageKeyDetector",
        r"AccountKey=[A-Za-z0-9+/=]{88}",
        ("AccountKey",),
    ),
    "Google API key": (None, r"\bAIza[0-9A-Za-z_-]{35}(?![0-9A-Za-z_-])", ("AIza",)),
    "Google OAuth secret": (None, r"\bGOCSPX-[0-9A-Za-z_-]{28}\b", ("GOCSPX-",)),
    "Hugging Face token": (None, r"\bhf_[A-Za-z]{34}\b", ("hf_",)),
    "Anthropic key": (None, r"\bsk-ant-[a-z0-9]+-[\w-]{80,120}", ("sk-ant-",)),
    "password in a URL": (
        "basic_auth.BasicAuthDetector",
        r"(?<=://)[^\s/:@'\"`]{1,100}:[^\s/@'\"`]{1,100}(?=@)",
        ("://",),
    ),
}
_LITERALS = {kind: literals for kind, (_, _, literals) in _FORMS.items()}
_SPANS = {kind: re.compile(span, re.ASCII) for kind, (_, span, _) in _FORMS.items()}


# Users and passwords in the URLs of the web and of proxies.
_USERINFO = re.compile(r"((?:https?|socks[45]?[ah]?)://)[^\s/@'\"`<>]+@", re.IGNORECASE)


class Secret(NamedTuple):
    """A credential: its kind, the line (from 1) and the span in the text; never its value."""

    kind: str
    line: int
    start: int
    end: int


def find(text: str) -> list[Secret]:
    """The credentials in a text, in order; lines with ``# pragma: allowlist secret`` have none."""
    found = []
    for kind, match in _candidates(text[:MOST_CHARACTERS]):
        start, end = match.span()
        begin = text.rfind("\n", 0, start) + 1
        stop = text.find("\n", end)
        stop = len(text) if stop < 0 else stop
        if ALLOWED.search(text, max(begin, start - 500), min(stop, end + 500)):
            continue
        if _confirmed(kind, match):
            if kind == "private key":
                end = stop
            found.append(Secret(kind, text.count("\n", 0, start) + 1, start, end))
    return sorted(found, key=lambda secret: (secret.start, secret.kind))


def mask(text: str) -> str:
    """A text fit to be shown: its credentials are replaced by ``***``."""
    secrets = find(text)
    if not secrets:
        return text
    pieces = []
    at = 0
    for secret in secrets:
        pieces.append(text[at : max(at, secret.start)])
        if secret.end > at:
            pieces.append(MASK)
        at = max(at, secret.end)
    return "".join((*pieces, text[at:]))


def hidden(text: str) -> str:
    """What another program said, fit to be shown: users and passwords in its URLs are masked."""
    return _USERINFO.sub(rf"\1{MASK}@", text)


def in_file(path: Path) -> str | None:
    """The kind of credential that the start of a file holds, None if it holds none.

    Raises:
        OSError: it cannot be read.
    """
    with path.open("rb") as stream:
        return in_bytes(stream.read(MOST_BYTES))


def in_bytes(data: bytes) -> str | None:
    """The kind of credential that these bytes hold, None if they hold none."""
    if not any(literal.encode() in data for forms in _LITERALS.values() for literal in forms):
        return None
    secrets = find(data.decode("latin-1"))
    return secrets[0].kind if secrets else None


def _candidates(text: str) -> Iterator[tuple[str, re.Match[str]]]:
    for kind, span in _SPANS.items():
        if any(literal in text for literal in _LITERALS[kind]):
            for match in islice(span.finditer(text), MOST_CANDIDATES):
                yield kind, match


def _confirmed(kind: str, match: re.Match[str]) -> bool:
    value = match.group()
    if "EXAMPLE" in value.upper() or re.search(r"(.)\1{9}|\.\.\.", value):
        return False  # as documentation writes them: AKIAIOSFODNN7EXAMPLE, ghp_xxxxxxxx...
    if kind == "password in a URL":
        user, _, password = value.partition(":")
        if PLACEHOLDER.fullmatch(password) or user == password:
            return False
    name = _FORMS[kind][0]
    # The detectors want a key in quotes as it stands in code.
    return name is None or any(True for _ in _detector(name).analyze_string(_as_line(match)))


def _as_line(match: re.Match[str]) -> str:
    return match.string[max(0, match.start() - 20) : match.end() + 5]


@cache
def _detector(name: str) -> Any:
    import importlib

    module, _, class_name = name.partition(".")
    return getattr(importlib.import_module(f"detect_secrets.plugins.{module}"), class_name)()
