"""What counts as a secret: exact names, and credentials inside URLs and texts.

Names are matched whole or by their end, never by parts: ``api_key`` and ``DB_PASSWORD`` are secrets, ``max_tokens`` is a fact.
"""

from __future__ import annotations

import re
import traceback
from collections.abc import Iterable

HIDDEN = "***"
"""What stands in place of a secret."""

_NAMES = frozenset(
    """
    access_key access_key_id access_token account_key api_key api_secret api_token apikey auth_token authorization
    aws_access_key_id aws_key_id aws_secret_access_key aws_session_token bearer_token client_secret connection_string cookie
    credential credentials id_token keyfile_dict passphrase passwd password private_key proxy_authorization pwd refresh_token
    sas_token secret secret_access_key secret_key secrets session_token set_cookie shared_access_key shared_access_signature
    token x_api_key
    """.replace("_", "").split()
)
_QUERY_NAMES = _NAMES | frozenset(
    """
    client_assertion google_access_id jwt pass pw sig signature x_amz_credential x_amz_security_token x_amz_signature
    x_goog_credential x_goog_signature
    """.replace("_", "").split()
)

# Every repetition below is bounded, or ends at a character at which the next match begins: the time is linear in the text.
_USER_AND_PASSWORD = re.compile(r"(?<=[A-Za-z0-9+.\-]://)[^\s/?#@:]*:[^\s/?#]*@")
_ODD_PASSWORD = re.compile(r"(?<=[A-Za-z0-9+.\-]://)(?!\[|arn:)[^\s/?#@:\"']*:(?P<rest>(?:(?!://)[^\s\"'<>,)]){1,300})")
"""What begins like ``user:password@`` and may have a password in which nobody escaped ``/``, ``?``, ``#``."""
_HOST = re.compile(r"\[[^\]]*\](?::\d*)?|localhost|[\w\-]+(?:\.[\w\-]+)+|[\w.\-]+:\d+(?:,.*)?")
_UNTIL_HOST = re.compile(r".*[^/]@(?=(?:\[|[A-Za-z][\w.\-]*(?::\d+)?/|[A-Za-z][\w.\-]*:\d+$))")
_UNTIL_LAST_HOST = re.compile(r".*[^/]@(?=(?:\[|[A-Za-z][\w.\-]*(?::\d+)?(?:/|$)|\d+(?:\.\d+){3}))")
_NO_SCHEME = re.compile(r"(?<![\w:/])//[^\s/?#@:\"']{0,200}:[^\s/?#@\"']{1,300}@")
_USER = re.compile(r"(?P<scheme>\b(?:https?|postgres(?:ql)?|mysql|mariadb|mssql|hive|kafka)://)[^\s/?#@]+@", re.I)
"""Schemes whose authority is a server: elsewhere (``abfss``, ``wasbs``) what stands before the ``@`` may be the container."""
_ORACLE = re.compile(r"(?P<scheme>jdbc:oracle:\w{1,9}:)[^\s/@\"']{0,128}/[^\s']{1,300}@", re.I)
_SCHEME = re.compile(r"[A-Za-z][A-Za-z0-9+.\-]{0,30}")
_QUERY = re.compile(r"\?(?P<query>[^?#\s\"'=]*=[^#\s\"']*)")
_PARAMETER = re.compile(r"[&;#](?P<name>[A-Za-z][\w.\-]*)=[^&;#\s\"']*")
_JDBC_PARAMETER = re.compile(r"[:,](?P<name>[A-Za-z][\w.\-]*)=[^&;#,\s\"']*")
"""DB2 begins its parameters after a colon, Teradata puts commas between them."""

_SECRET_ENDING = re.compile(
    r"(?i:passwords?|passwd|passphrase|[_\-.](?:secret|token|pwd|api[_\-.]?key|(?:secret|access|private|account)[_\-.]key))$"
    r"|[a-z](?:Secret|Token|Pwd|ApiKey|SecretKey|AccessKey|PrivateKey|AccountKey)$"
    r"|(?i:(?:^|[_\-.])(?:(?:fernet|encryption|signing|hmac)[_\-.]key|secret[_\-.]id))$"
    r"|(?i:(?:^|[_\-.])(?:admin|auth|database|db|ftp|http|keystore|ldap|mail|mysql|pg|postgres|proxy|redis|root|service|sftp|smtp|ssh"
    r"|truststore|user)[_\-.]pass)$"  # and not first_pass
    r"|(?i:\.account\.key\.)"  # of Azure, with the account behind it
)
_SHAPES = re.compile(
    r"(?<![A-Za-z0-9_\-])(?:"
    r"eyJ[A-Za-z0-9_\-]{8,}\.[A-Za-z0-9_\-]{8,}(?:\.[A-Za-z0-9_\-]*)?"  # JSON web tokens
    r"|(?:AKIA|ASIA)[A-Z0-9]{16}|AIza[\w\-]{35}|dapi[0-9a-f]{32}|hvs\.[\w\-]{24,200}|npm_[A-Za-z0-9]{36}"
    r"|gh[oprsu]_[A-Za-z0-9]{36,255}|github_pat_\w{22,255}|glpat-[\w\-]{20,64}|xox[abeprs]-[A-Za-z0-9\-]{10,250}"
    r")(?![A-Za-z0-9_\-])"
)
"""Keys that their makers gave an unmistakable form: of AWS, Google, Databricks, Vault, npm, GitHub, GitLab and Slack."""
_PEM = re.compile(r"(?s)-----BEGIN[A-Z ]{0,40}PRIVATE KEY-----.*?(?:-----END[A-Z ]{0,40}PRIVATE KEY-----|\Z)")
_NAMED = re.compile(
    r"(?<!\w)(?<!\w-)(?P<name>[A-Za-z_][\w\-.]{0,60})(?![\w\-])"
    r"(?:(?:\\*[\"'])?\s*(?:[!:]?={1,3}>?|<>)\s*|\\*[\"']\s*:\s*|[ \t]*:(?![:/])[ \t]*)"
)
_OPTION = re.compile(r"(?<![\w\-])--(?P<name>[A-Za-z][\w\-.]{0,60})(?![\w\-])(?:[\"'],\s*|[ \t]+)(?!-)")
_VALUE = re.compile(
    r"(?P<scheme>(?:Bearer|Basic|Token|Digest|ApiKey|Negotiate)[ \t]+)?"
    r"(?:\*{3}(?=[\s,;&\"')\]}]|$)|\\+\"[^\"\\]*\\*\"?"
    r"|[bfnru]{0,2}(?:\"{3}.*?(?:\"{3}|\Z)|'{3}.*?(?:'{3}|\Z)"
    r"|''(?=\w)[^'\n]*'*"  # inside a string of SQL
    r"|\"(?:[^\"\\]|\\.|\"\")*\"|'(?:[^'\\]|\\.|'')*'|\"[^\"\n]+|'[^'\n]+)"
    r"|\([^()]*\)|\{[^{}]*\}|\[[^\[\]]*\]|[^\s,;&\"']+)",
    re.I | re.S,
)
_YAML_KEY = re.compile(
    r"^(?P<head>[ \t]*(?:-[ \t]+)?[\"']?(?P<name>[A-Za-z_][\w\-.]{0,60})[\"']?[ \t]*:)"
    r"[ \t]{0,9}(?:[|>][+\-\d]{0,2}[ \t]{0,9})?\n",
    re.M,
)
"""A name whose value begins in the next line, further to the right."""
_PAIR = re.compile(
    r"(?<![\w)\]])(?<!\b[iI][nN] )(?P<start>\([\"'](?P<name>[A-Za-z_][\w\-.]{0,60})[\"'],\s{0,9})"
    r"[bfru]{0,2}(?:'(?:[^'\\]|\\.)*'|\"(?:[^\"\\]|\\.)*\")(?=\s{0,9}\))",
    re.S,
)
"""A pair of Python's; more than two are the names of columns, say, or arguments."""
_PROPERTY = re.compile(
    r"(?P<start><name>\s{0,99}(?P<name>[\w.\-]{1,200})\s{0,99}</name>\s{0,99}<value>)(?:<!\[CDATA\[[^\]]*\]\]>|[^<]+)"
)
"""Hadoop's properties."""
_SIGNATURE = re.compile(r"(?P<start>SharedAccessSignature=)[^\s;\"']+|(?P<query>[?&]sig=)[^\s;&#\"']+", re.I)
"""Of Azure's storage, also where there is no URL around it."""
_SQL_QUOTED = re.compile(
    r"(?P<start>\b(?:identified\s+(?:with\s+\S{1,64}\s+)?(?:by|as)(?:\s+(?:values|password))?|password"
    r"|secret|key_id|session_token)(?:\s*\(\s*|\s+))"
    r"(?:'(?:[^'\\]|\\.|'')*'|\"[^\"]*\")",
    re.I | re.S,
)
_SQL_BARE = re.compile(
    r"(?P<start>\b(?:IDENTIFIED\s+BY|(?i:user|role)\s+\S{1,128}\s+(?i:identified\s+by))\s+)[^\s'\";]+"
)
_BEARER = re.compile(
    r"\b(?P<scheme>Bearer\s+(?!(?:tokens?|auth\w*|schemes?|headers?|realm|is|was|of|and|or|credentials?|error)\b)"
    r"|Basic\s+(?=[A-Za-z0-9+/._~\-]{8}))[A-Za-z0-9+/._~\-]+=*"
)


def _plain(name: str) -> str:
    return name.lower().replace("_", "").replace("-", "").replace(".", "")


def is_secret(name: object, more: frozenset[str] = frozenset()) -> bool:
    """Whether the whole name says that its value is secret; ``more`` are further names, as `plain_names` gives them.

    For facts, which may be called as they like: ``eos_token`` is a parameter of a model.
    """
    return isinstance(name, str) and len(name) < 40 and (_plain(name) in _NAMES or _plain(name) in more)


def is_secret_by_end(name: object, more: frozenset[str] = frozenset()) -> bool:
    """Whether the name, or its end, says that its value is secret: ``DB_PASSWORD``, ``spark.hadoop.fs.s3a.secret.key``."""
    if not isinstance(name, str):
        return False
    if is_secret(name, more) or _SECRET_ENDING.search(name):
        return True
    parts = name.rsplit(".", 2) if "." in name else []
    return any(is_secret("".join(parts[-count:]), more) for count in (1, 2)) if parts else False


def _is_secret_parameter(name: str) -> bool:
    return _plain(name) in _QUERY_NAMES or is_secret_by_end(name)


def plain_names(names: Iterable[str]) -> frozenset[str]:
    """Names in the form in which they are compared: ``Customer-ID`` and ``customer_id`` are one."""
    return frozenset(_plain(name) for name in names)


def strip_url(text: str) -> str:
    """``text`` without the ``user:password@`` of URLs, query parameters of secret names, and keys of an unmistakable form."""
    if "://" in text:
        text = _ODD_PASSWORD.sub(_without_odd_password, text)
        text = _USER_AND_PASSWORD.sub("", text)
        text = _USER.sub(r"\g<scheme>", text)
    if "//" in text and "@" in text:
        text = _NO_SCHEME.sub("//", text)
    if "jdbc:" in text:
        text = _ORACLE.sub(r"\g<scheme>@", text)
    if "=" in text:
        if "?" in text:
            text = _QUERY.sub(_query, text)
        if "://" in text or "jdbc:" in text:
            text = _PARAMETER.sub(_parameter, text)
        if "jdbc:" in text:
            text = _JDBC_PARAMETER.sub(_parameter, text)
    return _SHAPES.sub(HIDDEN, text)


def strip_name(namespace: str, name: str) -> str:
    """``name`` as `strip_url` leaves it, also where its URL was cut in two and ``namespace`` is the scheme alone."""
    scheme = namespace.rstrip(":/")
    if _SCHEME.fullmatch(scheme):
        for mark in ("://", ":"):
            name = strip_url(f"{scheme}{mark}{name}").removeprefix(f"{scheme}{mark}")
    return strip_url(name)


def _parameter(match: re.Match[str]) -> str:
    if not _is_secret_parameter(match["name"]):
        return match[0]
    return match[0][0] if match[0][0] in "#:" else ""


def _without_odd_password(match: re.Match[str]) -> str:
    """What follows a password that holds ``/``, ``?`` or ``#``; all of it where the text can be read as a usual URL."""
    rest = match["rest"]
    head = re.split("[/?#]", rest, maxsplit=1)[0]
    _, at, host = head.rpartition("@")
    if _HOST.fullmatch(host) if at else re.fullmatch(r"\d*(?:[,;].*)?", head):
        return match[0]  # user:password@host or host:port
    found = (_UNTIL_HOST if at and ":" not in host else _UNTIL_LAST_HOST).match(rest)
    return rest[found.end() :] if found and found.end() > len(head) else match[0]


def _query(match: re.Match[str]) -> str:
    first, *others = re.split("([&;])", match["query"])
    parts = [("", first), *zip(others[::2], others[1::2], strict=True)]
    kept = [part for part in parts if not _is_secret_parameter(part[1].partition("=")[0])]
    if len(kept) == len(parts):
        return match[0]
    return "?" + "".join(mark + part for mark, part in kept).lstrip("&;") if kept else ""


def hide_in_text(text: str) -> str:
    """``text`` with the values of ``password=…`` and the like hidden, and the credentials of its URLs removed."""
    if "PRIVATE KEY" in text:
        text = _PEM.sub(HIDDEN, text)
    text = strip_url(text)
    if ":" in text and "\n" in text:
        text = _hide_yaml(text)
    if "('" in text or '("' in text:
        text = _PAIR.sub(_hide_named, text)
    if "<name>" in text:
        text = _PROPERTY.sub(_hide_named, text)
    text = _SIGNATURE.sub(lambda match: f"{match['start'] or match['query']}{HIDDEN}", text)
    if "=" in text or ":" in text or "<>" in text:
        text = _hide_values(text, _NAMED)
    if "--" in text:
        text = _hide_values(text, _OPTION)
    text = _SQL_QUOTED.sub(rf"\g<start>{HIDDEN}", text)
    text = _SQL_BARE.sub(rf"\g<start>{HIDDEN}", text)
    if "earer" in text or "asic" in text:
        text = _BEARER.sub(rf"\g<scheme>{HIDDEN}", text)
    return text


def shown(thing: object) -> str:
    """``thing``, foreign as it may be, as a log or a message may show it."""
    return hide_in_text(str(thing))


def trace_of(error: BaseException) -> str:
    """Where ``error`` came from, as a log may show it."""
    return hide_in_text("".join(traceback.format_exception(error)))


def _hide_named(match: re.Match[str]) -> str:
    return f"{match['start']}{HIDDEN}" if is_secret_by_end(match["name"]) else match[0]


def _hide_yaml(text: str) -> str:
    """``text`` without the lines that belong to secret names of YAML: those further to the right, and the items of a list."""
    kept: list[str] = []
    end = 0
    for match in _YAML_KEY.finditer(text):
        if match.start() < end or not is_secret_by_end(match["name"]):
            continue
        column, last = match.start("name") - match.start(), match.end()
        while last < len(text) and _belongs(line := text[last : (text.find("\n", last) + 1) or len(text)], column):
            last += len(line)
        if text[match.end() : last].strip():
            kept += (text[end : match.end("head")], f" {HIDDEN}\n")
            end = last
    return "".join(kept) + text[end:] if kept else text


def _belongs(line: str, column: int) -> bool:
    """Whether ``line`` is part of the value of a name of YAML that stands in this column."""
    told = line.lstrip(" \t")
    depth = len(line) - len(told)
    return depth > column or not told.strip() or (depth == column and told.startswith("- "))


def _hide_values(text: str, names: re.Pattern[str]) -> str:
    """``text`` without the values that follow secret names; the values of other names are searched for names in turn."""
    kept: list[str] = []
    end = 0
    for match in names.finditer(text):
        if match.start() < end or not is_secret_by_end(match["name"]):
            continue
        value = _VALUE.match(text, match.end())
        if value:
            kept += (text[end : match.end()], value["scheme"] or "", HIDDEN)
            end = value.end()
    return "".join(kept) + text[end:] if kept else text
