"""What runs beside the engine while it serves: the watchdog's process, and couriers that carry notices out."""

from __future__ import annotations

import fcntl
import os
import threading
import time
from pathlib import Path
from typing import Any

from vitalwatch.alerting.notices import Courier, Outbox, Receiver
from vitalwatch.alerting.pulse import Pulse, beat
from vitalwatch.alerting.receivers import Log
from vitalwatch.alerting.rules import Rules, span
from vitalwatch.alerting.watchdog import PULSE, SEEN, Limits, Seen, Watchdog, read_seen, receiver_of
from vitalwatch.database.connection import Database
from vitalwatch.database.session_lock import SessionLock
from vitalwatch.errors import StoreError
from vitalwatch.keyfile import secret
from vitalwatch.settings import Settings

FRESH = 10.0  # seconds: what a watchdog wrote before that, it does not see any more
WEBHOOK_SECRET, SMTP_PASSWORD = "VITALWATCH_WEBHOOK_SECRET", "VITALWATCH_SMTP_PASSWORD"


class Post:
    """The watch over one database, which one process at a time has, and which is free when that one dies.

    A file lock for the processes of this machine; on PostgreSQL a lock of a session besides, for those of all machines.
    """

    def __init__(self, path: Path, everywhere: SessionLock | None = None) -> None:
        self._path, self._file, self._everywhere = path, -1, everywhere

    @staticmethod
    def of(settings: Settings, database: Database) -> Post:
        """Return the watch over a database: beside its file, or in the artifacts and in the database itself."""
        file = database.file
        if file is None:
            return Post(settings.artifacts / "watch.lock", SessionLock(database))
        return Post(file.with_name(f"{file.name}.watch"))

    def take(self) -> bool:
        """Take the watch if it is free, and return whether we have it; asked again, whether we still do.

        Raises:
            DatabaseError: The database cannot be reached: nobody can say who has it.
        """
        if not self._here():
            return False
        if self._everywhere is None or self._everywhere.take():
            return True
        self._leave_here()
        return False

    def leave(self) -> None:
        """Let another have it."""
        if self._everywhere is not None:
            self._everywhere.leave()
        self._leave_here()

    def _leave_here(self) -> None:
        if self._file >= 0:
            os.close(self._file)
            self._file = -1

    def _here(self) -> bool:
        """Return whether we have it among the processes of this machine."""
        if self._file >= 0:
            return True
        self._path.parent.mkdir(parents=True, exist_ok=True)
        file = os.open(self._path, os.O_RDWR | os.O_CREAT, 0o600)
        try:
            fcntl.flock(file, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError:
            os.close(file)
            return False
        self._file = file
        return True


class Guarding:
    """The watchdog and the couriers of one serving process.

    Args:
        settings: Says where and who.
        rules: Says when silence is an alarm.
        outbox: Where notices wait.
    """

    def __init__(self, settings: Settings, rules: Rules, outbox: Outbox) -> None:
        self._told = plain_receivers(settings)
        self.receivers: list[Receiver] = [*map(receiver_of, self._told)]
        if settings.config.alarms.log:
            self.receivers.append(Log())
        self._couriers = [Courier(outbox, one) for one in self.receivers]
        self._folder = folder_of(settings)
        self._limits = limits_of(settings, rules)
        self._patience = span(settings.config.alarms.undelivered) / 1000
        self._stop, self._threads = threading.Event(), list[threading.Thread]()
        self._dog: Watchdog | None = None

    def start(self) -> None:
        """Start the watchdog, unless the config says none, and the couriers."""
        self._watch()
        for courier in self._couriers:
            thread = threading.Thread(target=courier.run, args=(self._stop,), daemon=True, name="vitalwatch-courier")
            thread.start()
            self._threads.append(thread)

    def stop(self) -> None:
        """End them; what was not delivered waits in the outbox."""
        self._stop.set()
        for thread in self._threads:
            thread.join()
        if self._dog is not None:
            self._dog.stop()

    def beat(self, pulse: Pulse) -> Seen | None:
        """Give a sign of life, and return what the watchdog saw; one that died is started anew."""
        if self._dog is None:
            return None
        if not self._dog.alive:
            self._watch()
        beat(self._folder / PULSE, pulse)
        return read_seen(self._folder)

    def failing(self) -> dict[str, float]:
        """Return the seconds since when receivers do not accept something, by name, 0 for those who accept all."""
        return {one.receiver.name: one.failing for one in self._couriers}

    def undelivered(self) -> dict[str, float]:
        """Return those of `failing` who fail for longer than `config.alarms.undelivered`."""
        return {name: seconds for name, seconds in self.failing().items() if seconds > self._patience}

    def unsure(self) -> frozenset[str]:
        """Return the receivers of whom nobody knows yet whether they are well again: not tried since, or failing."""
        return frozenset(one.receiver.name for one in self._couriers if not one.tried or one.failing_since is not None)

    def _watch(self) -> None:
        if self._limits is not None:
            alone = [one | {"external_url": ""} for one in self._told]  # what it tells by itself no route knows
            self._dog = Watchdog(self._folder, self._limits, alone)


def folder_of(settings: Settings) -> Path:
    """Return the folder that the engine shares with its watchdog."""
    return settings.artifacts / "watchdog"


def seen_elsewhere(settings: Settings) -> Seen | None:
    """Return what the watchdog of another process sees, None where none looks."""
    folder = folder_of(settings)
    try:
        fresh = time.time() - (folder / SEEN).stat().st_mtime < FRESH
    except OSError:
        return None
    return read_seen(folder) if fresh else None


def limits_of(settings: Settings, rules: Rules) -> Limits | None:
    """Return when silence is an alarm, None where the config switches the watchdog off."""
    told, wearing = settings.config.alarms.watchdog, rules.wearing
    if told is None:
        return None
    return Limits(
        stalled=span(told.stalled) / 1000,
        lagging=span(told.lagging) / 1000,
        silence=span(wearing.silence) / 1000,
        not_worn=span(wearing.not_worn or "0s") / 1000,
        priority=wearing.priority,
    )


def names_of(settings: Settings) -> list[str]:
    """Return the names of all receivers."""
    told = settings.config.alarms
    outside = [*(one.name for one in told.webhooks), *(one.name for one in told.mails)]
    return [*outside, "log"] if told.log else outside


def plain_receivers(settings: Settings) -> list[dict[str, Any]]:
    """Return webhooks and mails as plain values with their secrets.

    Raises:
        StoreError: A secret's file is missing, or others can read it.
    """
    told = settings.config.alarms
    hooks = [
        {
            "type": "webhook",
            "name": one.name,
            "url": one.url,
            "secret": _secret(settings, one.secret, WEBHOOK_SECRET),
            "external_url": told.external_url,
        }
        for one in told.webhooks
    ]
    mails = [
        {
            "type": "mail",
            **one.model_dump(exclude={"password"}),
            "to": list(one.to),
            "password": _secret(settings, one.password, SMTP_PASSWORD) if one.user else "",
            "external_url": told.external_url,
        }
        for one in told.mails
    ]
    return [*hooks, *mails]


def _secret(settings: Settings, path: Path | None, variable: str) -> str:
    given = os.environ.get(variable, "")
    if given:
        return given
    if path is None:
        raise StoreError("config.alarms", "a receiver has no secret", f"Name its file, or set {variable}")
    return secret(settings.path(path), "secret of a receiver", variable).decode().strip()
