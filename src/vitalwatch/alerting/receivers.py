"""Where notices go: a webhook in Alertmanager's shape, e-mail, the log. No measured value leaves but by the webhook."""

from __future__ import annotations

import datetime as dt
import hashlib
import hmac
import json
import logging
import smtplib
import ssl
import time
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from email.message import EmailMessage
from typing import Any

from vitalwatch.alerting.alerts import MARKS, PHYSIOLOGICAL, Alert
from vitalwatch.alerting.notices import FIRING, NotDelivered, Notice

log = logging.getLogger("vitalwatch.alarms")

TIMEOUT = 5.0  # seconds
NEVER = "0001-01-01T00:00:00Z"  # how Alertmanager says that an alert goes on
SIGNATURE, STAMP, KEY = "X-Vitalwatch-Signature", "X-Vitalwatch-Timestamp", "Idempotency-Key"


class Log:
    """Writes one line a notice: what and how urgent, no value."""

    name = "log"

    def send(self, notice: Notice) -> None:
        """Always accepts."""
        alert = notice.alert
        level = logging.WARNING if notice.status == FIRING else logging.INFO
        text = "alarm %s %s priority=%s rule=%s category=%s state=%s cause=%s person=%s alert=%s"
        told = (MARKS[alert.priority], notice.status, alert.priority, alert.rule, alert.category, alert.state)
        log.log(level, text, *told, notice.transition.cause, alert.person, alert.id)


@dataclass(frozen=True)
class Webhook:
    """Posts notices as Alertmanager does (webhook version 4), signed.

    The signature is the hexadecimal HMAC-SHA-256 of `<timestamp>.<body>` under the shared secret; the receiver computes
    it again, compares in constant time and refuses old timestamps. Anything but 2xx is tried again; a redirect is not
    followed.

    Attributes:
        name: Of the receiver.
        url: Where to.
        secret: Shared with the receiver.
        external_url: Of this installation, for links.
        clock: UTC seconds, for the timestamp.
    """

    name: str
    url: str
    secret: bytes
    external_url: str = ""
    clock: Callable[[], float] = time.time

    def send(self, notice: Notice) -> None:
        """Post a notice; raises NotDelivered."""
        import httpx  # only where there is a webhook: it takes a quarter of a second

        body = json.dumps(self.body(notice), separators=(",", ":"), ensure_ascii=False).encode()
        stamp = str(int(self.clock()))
        headers = {
            "Content-Type": "application/json",
            STAMP: stamp,
            SIGNATURE: f"sha256={signature(self.secret, stamp, body)}",
            KEY: notice.key,
        }
        try:
            answer = httpx.post(self.url, content=body, headers=headers, timeout=TIMEOUT, trust_env=False)
        except (httpx.HTTPError, OSError) as error:
            raise NotDelivered(type(error).__name__) from None
        if not answer.is_success:
            refused = 400 <= answer.status_code < 500 and answer.status_code not in (401, 403, 408, 429)
            raise NotDelivered(
                f"status {answer.status_code}", wait=_seconds(answer.headers.get("Retry-After")), everybody=not refused
            )

    def body(self, notice: Notice) -> dict[str, Any]:
        """Return the message, one alert in a group of its person."""
        alert = notice.alert
        labels = {
            "alertname": alert.rule,
            "person": alert.person,
            "priority": alert.priority,
            "category": alert.category,
            "source": alert.source,
        } | ({"kind": alert.kind} if alert.kind else {})
        annotations = {
            "summary": alert.explanation,
            "state": alert.state,
            "cause": notice.transition.cause,
            "escalation": str(alert.level),
        }
        ended = alert.end if alert.end is not None else notice.transition.at
        return {
            "version": "4",
            "groupKey": f'{{}}:{{person="{alert.person}"}}',
            "truncatedAlerts": 0,
            "status": notice.status,
            "receiver": self.name,
            "groupLabels": {"person": alert.person},
            "commonLabels": labels,
            "commonAnnotations": annotations,
            "externalURL": self.external_url,
            "alerts": [
                {
                    "status": notice.status,
                    "labels": labels,
                    "annotations": annotations,
                    "startsAt": _stamp(alert.start),
                    "endsAt": NEVER if notice.status == FIRING else _stamp(ended),
                    "generatorURL": _link(self.external_url, alert),
                    "fingerprint": notice.fingerprint,
                }
            ],
        }


@dataclass(frozen=True)
class Mail:
    """Sends a short message by SMTP: e-mail is no safe place for measured values, so it has none.

    Attributes:
        name: Of the receiver.
        host, port: Of the server.
        sender: Address.
        to: Addresses.
        starttls: Whether to encrypt; a server that does not is not used then.
        user, password: Empty where the server asks for none.
        external_url: Of this installation, for links.
    """

    name: str
    host: str
    port: int
    sender: str
    to: Sequence[str]
    starttls: bool = True
    user: str = ""
    password: str = ""
    external_url: str = ""

    def send(self, notice: Notice) -> None:
        """Hand a message to the server; raises NotDelivered."""
        try:
            with smtplib.SMTP(self.host, self.port, timeout=TIMEOUT) as server:
                if self.starttls:
                    server.starttls(context=ssl.create_default_context())
                if self.user:
                    server.login(self.user, self.password)
                server.send_message(self.message(notice))
        except smtplib.SMTPResponseException as error:
            temporary = error.smtp_code < 500 or isinstance(error, smtplib.SMTPAuthenticationError)
            raise NotDelivered(f"smtp {error.smtp_code}", everybody=temporary) from None
        except (smtplib.SMTPException, OSError) as error:
            raise NotDelivered(type(error).__name__) from None

    def message(self, notice: Notice) -> EmailMessage:
        """Return the message; its id is that of the notice, so that one sent twice is known."""
        alert, message = notice.alert, EmailMessage()
        what = "check the sensor or the connection" if alert.category != PHYSIOLOGICAL else "look at this person"
        message["Subject"] = f"{MARKS[alert.priority]} {alert.priority} {notice.status}: {alert.rule}"
        message["From"], message["To"] = self.sender, ", ".join(self.to)
        message["Message-ID"] = f"<{notice.key}@vitalwatch>"
        message["Date"] = dt.datetime.fromtimestamp(notice.transition.at / 1000, dt.UTC)
        lines = [
            f"Priority {alert.priority} ({alert.category}): please {what}.",
            f"Person {alert.person}, rule {alert.rule}, state {alert.state.replace('_', ' ')}.",
            f"Since {_stamp(alert.start)}; escalated {alert.level} times.",
            _link(self.external_url, alert) or f"Alarm {alert.id}",
        ]
        message.set_content("\n".join(lines) + "\n")
        return message


def signature(secret: bytes, stamp: str, body: bytes) -> str:
    """Return the hexadecimal HMAC-SHA-256 of `<stamp>.<body>`."""
    return hmac.new(secret, stamp.encode() + b"." + body, hashlib.sha256).hexdigest()


def _link(external_url: str, alert: Alert) -> str:
    """Return where REST tells of an alert, empty where nobody told the address of this installation."""
    return f"{external_url.rstrip('/')}/alarms/{alert.id}" if external_url else ""


def _stamp(time_ms: int) -> str:
    return dt.datetime.fromtimestamp(time_ms / 1000, dt.UTC).isoformat(timespec="milliseconds").replace("+00:00", "Z")


def _seconds(told: str | None) -> float | None:
    """Return Retry-After in seconds; a date is left aside, our own backoff does."""
    return float(told) if told and told.isdecimal() and len(told) < 7 else None
