"""The SQLite file's schema, one migration for each version; a migration that was released is never changed."""

from __future__ import annotations

from app.jobs.job import JobState

WAITING, RUNNING, DONE = JobState.WAITING.value, JobState.RUNNING.value, JobState.DONE.value

MIGRATIONS = (
    """
    CREATE TABLE jobs (
        seq INTEGER PRIMARY KEY AUTOINCREMENT,
        id TEXT NOT NULL UNIQUE,
        kind TEXT NOT NULL,
        user_id TEXT NOT NULL,
        home INTEGER NOT NULL,
        state TEXT NOT NULL,
        received_at REAL NOT NULL,
        expires_at REAL NOT NULL,
        payload BLOB,
        put_by TEXT NOT NULL DEFAULT '',
        owner INTEGER,
        because TEXT NOT NULL DEFAULT 'home',
        fence INTEGER NOT NULL DEFAULT 0,
        attempts INTEGER NOT NULL DEFAULT 0,
        lease_until REAL,
        checkpoint TEXT,
        pinned INTEGER,
        avoid INTEGER,
        avoid_until REAL,
        result BLOB,
        outcome TEXT NOT NULL DEFAULT '',
        provider TEXT NOT NULL DEFAULT '',
        error TEXT NOT NULL DEFAULT '',
        started_at REAL,
        finished_at REAL
    );
    CREATE INDEX jobs_waiting ON jobs (home, seq) WHERE state='waiting';
    CREATE INDEX jobs_running ON jobs (user_id) WHERE state='running';
    CREATE INDEX jobs_finished ON jobs (finished_at) WHERE state='done';
    CREATE INDEX jobs_of_user ON jobs (user_id, received_at) WHERE state='done';
    CREATE TABLE instances (
        instance INTEGER PRIMARY KEY,
        beat_at REAL NOT NULL,
        snapshot TEXT NOT NULL
    );
    CREATE TABLE calls (
        key TEXT NOT NULL,
        at REAL NOT NULL
    );
    CREATE INDEX calls_of_key ON calls (key, at);
    CREATE TABLE counters (
        day TEXT NOT NULL,
        name TEXT NOT NULL,
        value INTEGER NOT NULL,
        PRIMARY KEY (day, name)
    ) WITHOUT ROWID;
    """,
)
