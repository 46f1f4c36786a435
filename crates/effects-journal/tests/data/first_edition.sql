-- A journal as the first edition wrote it (format 2), of four rows: completed, with a task under way,
-- failed, doubtful.
PRAGMA foreign_keys = OFF;
PRAGMA application_id = 1162233418;
PRAGMA user_version = 2;
BEGIN TRANSACTION;
CREATE TABLE notes (name TEXT PRIMARY KEY, value INTEGER NOT NULL) STRICT, WITHOUT ROWID;
CREATE TABLE owners (
        id INTEGER PRIMARY KEY,
        host TEXT NOT NULL,
        place TEXT NOT NULL,
        process INTEGER NOT NULL,
        started TEXT NOT NULL,
        lease INTEGER NOT NULL
    ) STRICT;
CREATE TABLE pictures (
        task INTEGER NOT NULL REFERENCES tasks (number),
        place INTEGER NOT NULL,
        url TEXT NOT NULL,
        path ANY,
        PRIMARY KEY (task, place)
    ) STRICT, WITHOUT ROWID;
INSERT INTO "pictures" VALUES(2,0,'http://127.0.0.1:18767/files/ujfeo743vgo8o84mmpvv6n9o5fqi17dh.png','/orders/out/done.png');
CREATE TABLE rows (
        number INTEGER PRIMARY KEY AUTOINCREMENT,
        identity BLOB NOT NULL UNIQUE,
        origin TEXT NOT NULL,
        template TEXT NOT NULL,
        width INTEGER,
        height INTEGER,
        image TEXT NOT NULL,
        likeness BLOB NOT NULL,
        key TEXT,
        tag TEXT,
        target ANY,
        state TEXT NOT NULL CHECK
            (state IN ('intent', 'doubtful', 'created', 'completed', 'failed', 'released')),
        attempts TEXT,
        reason TEXT,
        task INTEGER,
        former INTEGER,
        renewals INTEGER NOT NULL DEFAULT 0,
        begun INTEGER NOT NULL,
        changed INTEGER NOT NULL,
        owner INTEGER,
        claim INTEGER
    ) STRICT;
INSERT INTO "rows" VALUES(1,X'E7E23685DEF2F847B99CBD37629B70E7005257C7341049E0377C52CF88C29D81','http://127.0.0.1:18767','glass_ball',NULL,NULL,'https://example.com/a.jpg',X'5B0B10D72AC36C261AAB79CC2BDF51D514B0447E4CBB2AE22B1AA3F316F90908','done','spring','/orders/out/done.png','completed',NULL,NULL,2,NULL,0,1795972687889,1795972690765,NULL,NULL);
INSERT INTO "rows" VALUES(2,X'A86191D5A5C06C29E13F2010688DEDC07119F447935C5100DDFC14C426EFD6A1','http://127.0.0.1:18767','graduation_photo',NULL,NULL,'https://example.com/d.jpg',X'2CB0153D0C0F90EA9BD336F963B1B23D96764F0AF4529B46F0F550EA2EBD8518','created',NULL,'/orders/out/created.png','created','[{"request_id":"4d0f6d88-4d35-4b41-914d-da288d248b06","idempotency_key":"bccb1671-eeaf-4b26-93bd-c864071c44eb","at":1795972687888}]',NULL,1,NULL,0,1795972687889,1795972687895,NULL,NULL);
INSERT INTO "rows" VALUES(3,X'5C6EEE5A8B5C4CE0FAA81761B1B2507C5954AB33D300187CE630FCA7A2DB5375','http://127.0.0.1:18767','claw_machine_style',NULL,NULL,'https://example.com/c.jpg',X'9D4365D4E7DE9C6B01583017327F69B00A6DDC2F65F7CC28A73827DD18DCDAA7','failed',NULL,'/orders/out/failed.png','failed','[{"request_id":"05d7fb5f-22d4-481e-a1e3-a3a35301487c","idempotency_key":"8f091d65-f79f-4e77-8bba-645d83de1de8","at":1795972687888}]',NULL,3,NULL,0,1795972687890,1795972690890,NULL,NULL);
INSERT INTO "rows" VALUES(4,X'DB6EC10543C5DC3B340C4ACFCD6FBC2F91949C8DDD96F84A99550998751EB034','http://127.0.0.1:18767','my_world',NULL,NULL,'https://example.com/b.jpg',X'C589FF66D9C5CE592B0C718F91C5908FC09DFF9D27FD4B7D6C386C7E716FACC5','doubtful',NULL,'/orders/out/doubtful.png','doubtful','[{"request_id":"3173df1b-5b3d-46e1-a4ed-27f5c3c1d6cf","idempotency_key":"70b287d5-f83b-4196-a62b-50666ec625b0","at":1795972687888}]','no answer: io: Connection reset by peer (os error 104)',NULL,NULL,0,1795972687890,1795972687899,6985721334777584271,4);
CREATE TABLE tasks (
        number INTEGER PRIMARY KEY AUTOINCREMENT,
        row INTEGER NOT NULL REFERENCES rows (number),
        id TEXT NOT NULL,
        submitted INTEGER NOT NULL,
        finished INTEGER,
        cost TEXT,
        code TEXT,
        message TEXT
    ) STRICT;
INSERT INTO "tasks" VALUES(1,2,'adok31gqjgvktbuf364b',1795972687895,NULL,NULL,NULL,NULL);
INSERT INTO "tasks" VALUES(2,1,'cfr1hli7e7tf730mbu70',1795972687895,1795972690765,'0.03',NULL,NULL);
INSERT INTO "tasks" VALUES(3,3,'lve7jle1h5jbkkt0bp6j',1795972687898,1795972690890,NULL,'3009095','Internal generation error (3009095)');
CREATE INDEX rows_held ON rows (owner) WHERE owner IS NOT NULL;
CREATE INDEX tasks_by_id ON tasks (id);
DELETE FROM "sqlite_sequence";
INSERT INTO "sqlite_sequence" VALUES('rows',4);
INSERT INTO "sqlite_sequence" VALUES('tasks',3);
COMMIT;
