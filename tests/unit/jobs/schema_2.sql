-- What schema 2 left behind: `sqlite3 quartet.db .dump`, with two jobs of each state. Never changed.
BEGIN TRANSACTION;
CREATE TABLE calls (
        key TEXT NOT NULL,
        at REAL NOT NULL
    );
INSERT INTO "calls" VALUES('openai-1',1799990000.0);
INSERT INTO "calls" VALUES('minimax-3',1799990001.5);
CREATE TABLE counters (
        day TEXT NOT NULL,
        name TEXT NOT NULL,
        value INTEGER NOT NULL,
        PRIMARY KEY (day, name)
    ) WITHOUT ROWID;
INSERT INTO "counters" VALUES('2027-01-14','calls:openai-1',1);
INSERT INTO "counters" VALUES('2027-01-14','done:1:chat',1);
CREATE TABLE fresh_starts (
        user_id TEXT NOT NULL,
        channel_id TEXT NOT NULL,
        at REAL NOT NULL,
        PRIMARY KEY (user_id, channel_id)
    ) WITHOUT ROWID;
CREATE TABLE instances (
        instance INTEGER PRIMARY KEY,
        beat_at REAL NOT NULL,
        snapshot TEXT NOT NULL
    );
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
    , guild_id TEXT, channel_id TEXT, repeat TEXT NOT NULL DEFAULT '', stop INTEGER NOT NULL DEFAULT 0, parts TEXT);
INSERT INTO "jobs" VALUES(1,'1001','chat','80',1,'waiting',1800000000.0,1800000885.0,X'7B226964223A2231303031227D','a1',NULL,'home',0,0,NULL,NULL,NULL,NULL,NULL,NULL,'','','',NULL,NULL,'700','900','',0,NULL);
INSERT INTO "jobs" VALUES(2,'1002','image','81',2,'waiting',1800000001.0,1800000886.0,X'7B226964223A2231303032227D','a2',NULL,'home',2,1,NULL,NULL,NULL,2,1800000000.5,NULL,'','','',1800000000.2,NULL,'700','900','',0,NULL);
INSERT INTO "jobs" VALUES(3,'1003','chat','82',1,'running',1800000002.0,1800000887.0,X'7B226964223A2231303033227D','a3',1,'home',1,1,1800000022.0,NULL,NULL,NULL,NULL,NULL,'','','',1800000002.1,NULL,'700','900','',1,NULL);
INSERT INTO "jobs" VALUES(4,'1004','video','83',2,'running',1800000003.0,1800000888.0,X'7B226964223A2231303034227D','a4',2,'home',1,1,1800000023.0,'{"step": "submitted", "task_id": "task-7"}',2,NULL,NULL,NULL,'','','',1800000003.1,NULL,'700','900','',0,NULL);
INSERT INTO "jobs" VALUES(5,'1005','chat','80',1,'done',1799990000.0,1799990885.0,NULL,'a5',1,'home',1,1,NULL,NULL,NULL,NULL,NULL,NULL,'answered','openai','',1799990000.1,1799990004.0,'700','900','',0,NULL);
INSERT INTO "jobs" VALUES(6,'1006','video','84',1,'done',1799990001.0,1799990886.0,X'7B226964223A2231303036227D','a6',3,'home_down',2,2,NULL,NULL,NULL,NULL,NULL,NULL,'failed','','VideoUnknown',1799990001.1,1799990009.0,NULL,NULL,'once',0,NULL);
CREATE TABLE preferences (
        scope TEXT NOT NULL,
        id TEXT NOT NULL,
        value TEXT NOT NULL,
        version INTEGER NOT NULL,
        PRIMARY KEY (scope, id)
    ) WITHOUT ROWID;
INSERT INTO "preferences" VALUES('user','80','{"language": "en"}',1);
CREATE TABLE turns (
        job_id TEXT PRIMARY KEY,
        user_id TEXT NOT NULL,
        channel_id TEXT NOT NULL,
        asked_at REAL NOT NULL,
        question TEXT NOT NULL,
        answer TEXT NOT NULL,
        private INTEGER NOT NULL DEFAULT 0
    );
INSERT INTO "turns" VALUES('1005','80','900',1799990000.0,'why?','because',0);
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
CREATE INDEX jobs_waiting ON jobs (home, seq) WHERE state='waiting';
CREATE INDEX jobs_running ON jobs (user_id) WHERE state='running';
CREATE INDEX jobs_finished ON jobs (finished_at) WHERE state='done';
CREATE INDEX jobs_of_user ON jobs (user_id, received_at) WHERE state='done';
CREATE INDEX calls_of_key ON calls (key, at);
CREATE INDEX jobs_stopped ON jobs (owner) WHERE stop=1 AND state='running';
CREATE INDEX jobs_turns ON jobs
        (user_id, seq, home, kind, attempts, avoid, avoid_until, received_at) WHERE state='waiting';
CREATE INDEX jobs_set_aside ON jobs (home) WHERE state='waiting' AND (result IS NOT NULL OR stop=1 OR pinned IS NOT NULL);
CREATE INDEX turns_of_conversation ON turns (user_id, channel_id, asked_at);
CREATE INDEX turns_by_age ON turns (asked_at);
CREATE INDEX preferences_by_version ON preferences (version);
CREATE INDEX usage_of_guild ON usage (guild_id, day);
CREATE INDEX usage_by_day ON usage (day);
DELETE FROM "sqlite_sequence";
INSERT INTO "sqlite_sequence" VALUES('jobs',6);
COMMIT;
PRAGMA user_version=2;
PRAGMA journal_mode=WAL;
