"""The SQLite file's schema, one migration for each version; a migration that was released is never changed."""

from __future__ import annotations

from app.jobs.job import JobState

WAITING, RUNNING, DONE = JobState.WAITING.value, JobState.RUNNING.value, JobState.DONE.value

SET_ASIDE = "(result IS NOT NULL OR stop=1 OR pinned IS NOT NULL)"
"""Waiting jobs that do not wait for their turn: what is left of them is to be ended, or only one instance can."""

OLDEST_COMPATIBLE = 2
"""The oldest schema whose program works on a file of the newest, while this program does too. It stays as it is when a
migration only adds what older programs may ignore, and becomes the new schema's number when one changes what is there;
docs/upgrading.md says what that means for operators."""

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
    f"""
    ALTER TABLE jobs ADD COLUMN guild_id TEXT;
    ALTER TABLE jobs ADD COLUMN channel_id TEXT;
    ALTER TABLE jobs ADD COLUMN repeat TEXT NOT NULL DEFAULT '';
    ALTER TABLE jobs ADD COLUMN stop INTEGER NOT NULL DEFAULT 0;
    ALTER TABLE jobs ADD COLUMN parts TEXT;
    UPDATE jobs SET repeat='once' WHERE state='done' AND payload IS NOT NULL;
    CREATE INDEX jobs_stopped ON jobs (owner) WHERE stop=1 AND state='running';
    CREATE INDEX jobs_turns ON jobs
        (user_id, seq, home, kind, attempts, avoid, avoid_until, received_at) WHERE state='waiting';
    CREATE INDEX jobs_set_aside ON jobs (home) WHERE state='waiting' AND {SET_ASIDE};
    CREATE TABLE turns (
        job_id TEXT PRIMARY KEY,
        user_id TEXT NOT NULL,
        channel_id TEXT NOT NULL,
        asked_at REAL NOT NULL,
        question TEXT NOT NULL,
        answer TEXT NOT NULL,
        private INTEGER NOT NULL DEFAULT 0
    );
    CREATE INDEX turns_of_conversation ON turns (user_id, channel_id, asked_at);
    CREATE INDEX turns_by_age ON turns (asked_at);
    CREATE TABLE fresh_starts (
        user_id TEXT NOT NULL,
        channel_id TEXT NOT NULL,
        at REAL NOT NULL,
        PRIMARY KEY (user_id, channel_id)
    ) WITHOUT ROWID;
    CREATE TABLE preferences (
        scope TEXT NOT NULL,
        id TEXT NOT NULL,
        value TEXT NOT NULL,
        version INTEGER NOT NULL,
        PRIMARY KEY (scope, id)
    ) WITHOUT ROWID;
    CREATE INDEX preferences_by_version ON preferences (version);
    CREATE TABLE usage (
        day TEXT NOT NULL,
        user_id TEXT NOT NULL,
        guild_id TEXT NOT NULL DEFAULT '',
        kind TEXT NOT NULL,
        jobs INTEGER NOT NULL DEFAULT 0,
        prompt_tokens INTEGER NOT NULL DEFAULT 0,
        completion_tokens INTEGER NOT NULL DEFAULT 0,
        images INTEGER NOT NULL DEFAULT 0,
        videos INTEGER NOT NULL DEFAULT 0,
        micro_usd INTEGER NOT NULL DEFAULT 0,
        PRIMARY KEY (user_id, day, guild_id, kind)
    ) WITHOUT ROWID;
    CREATE INDEX usage_of_guild ON usage (guild_id, day);
    CREATE INDEX usage_by_day ON usage (day);
    """,
    # Every index costs each job that is accepted. So all that is asked of waiting jobs is answered from `jobs_lanes`,
    # which grows at the end of each lane only; one that is sorted by users is written to all over.
    """
    DROP INDEX jobs_waiting;
    DROP INDEX jobs_turns;
    CREATE INDEX jobs_lanes ON jobs (home, kind, seq, user_id, received_at) WHERE state='waiting';
    """,
)
