
PRAGMA page_size=4096;

PRAGMA writable_schema=ON;

BEGIN TRANSACTION;

DROP TABLE IF EXISTS "action";
CREATE TABLE action (
            seq INTEGER PRIMARY KEY AUTOINCREMENT,
            id TEXT NOT NULL UNIQUE,
            action TEXT NOT NULL,
            details TEXT NOT NULL,
            project TEXT,
            session_id TEXT,
            created_at INTEGER NOT NULL,
            latest_at INTEGER NOT NULL,
            actor TEXT NOT NULL
        ) STRICT;
INSERT INTO "action" VALUES(1,'01a1fb65-c6a7-7008-be5f-c4d939865677','built','{"minutes":3}',NULL,NULL,1767225600000000,1767225600000000,'tester');
CREATE INDEX action_by_project ON action (project, seq);
CREATE INDEX action_by_time ON action (latest_at, seq);

DROP TABLE IF EXISTS change;
CREATE TABLE change (
            seq INTEGER PRIMARY KEY AUTOINCREMENT,
            at INTEGER NOT NULL,
            actor TEXT NOT NULL,
            method TEXT NOT NULL,
            entity TEXT NOT NULL,
            entity_id TEXT NOT NULL,
            label TEXT NOT NULL
        ) STRICT;
INSERT INTO change VALUES(1,1767225600000000,'{"client":"tester","uid":1000,"pid":42}','memory.set','memory','01a1fb65-c6a1-75e6-909f-0a7fb29b7c95','editor');
INSERT INTO change VALUES(2,1767225600000000,'{"client":"tester","uid":1000,"pid":42}','memory.set','memory','01a1fb65-c6a1-75e6-909f-0a7fb29b7c95','editor');
INSERT INTO change VALUES(3,1767225600000000,'{"client":"tester","uid":1000,"pid":42}','memory.set','memory','01a1fb65-c6a3-7008-9b1a-ed94f2ea6786','p-1: gone');
INSERT INTO change VALUES(4,1767225600000000,'{"client":"tester","uid":1000,"pid":42}','memory.delete','memory','01a1fb65-c6a3-7008-9b1a-ed94f2ea6786','p-1: gone');
INSERT INTO change VALUES(5,1767225600000000,'{"client":"tester","uid":1000,"pid":42}','action.log','action','01a1fb65-c6a7-7008-be5f-c4d939865677','built');
INSERT INTO change VALUES(6,1767225600000000,'{"client":"tester","uid":1000,"pid":42}','decision.add','decision','01a1fb65-c6ab-72f6-84f9-dfbfb5cbd2a6','use sqlite');
INSERT INTO change VALUES(7,1767225600000000,'{"client":"tester","uid":1000,"pid":42}','decision.resolve','decision','01a1fb65-c6ab-72f6-84f9-dfbfb5cbd2a6','use sqlite');
INSERT INTO change VALUES(8,1767225600000000,'{"client":"tester","uid":1000,"pid":42}','error.record','error','01a1fb65-c6af-753e-ae32-9161f0356f6e','it broke');
INSERT INTO change VALUES(9,1767225600000000,'{"client":"tester","uid":1000,"pid":42}','component.set','component','01a1fb65-c6b0-7230-98d3-d86df8ad1be6','disk');
CREATE INDEX change_by_entity ON change (entity, seq);
CREATE INDEX change_by_method ON change (method, seq);

DROP TABLE IF EXISTS component;
CREATE TABLE component (
            seq INTEGER PRIMARY KEY AUTOINCREMENT,
            id TEXT NOT NULL UNIQUE,
            name TEXT NOT NULL UNIQUE,
            status TEXT NOT NULL,
            health INTEGER NOT NULL,
            metadata TEXT NOT NULL,
            checked_at INTEGER NOT NULL,
            created_at INTEGER NOT NULL,
            updated_at INTEGER NOT NULL,
            version INTEGER NOT NULL DEFAULT 1,
            actor TEXT NOT NULL
        ) STRICT;
INSERT INTO component VALUES(1,'01a1fb65-c6b0-7230-98d3-d86df8ad1be6','disk','operational',100,'null',1767225600000000,1767225600000000,1767225600000000,1,'tester');
CREATE INDEX component_by_status ON component (status, name, health);

DROP TABLE IF EXISTS decision;
CREATE TABLE decision (
            seq INTEGER PRIMARY KEY AUTOINCREMENT,
            id TEXT NOT NULL UNIQUE,
            decision TEXT NOT NULL,
            reasoning TEXT NOT NULL,
            alternatives TEXT NOT NULL,
            outcome TEXT,
            outcome_actor TEXT,
            former_outcomes TEXT NOT NULL DEFAULT '[]',
            supersedes TEXT,
            superseded_by TEXT,
            contradicts TEXT NOT NULL,
            project TEXT,
            session_id TEXT,
            created_at INTEGER NOT NULL,
            latest_at INTEGER NOT NULL,
            updated_at INTEGER NOT NULL,
            version INTEGER NOT NULL DEFAULT 1,
            actor TEXT NOT NULL,
            status TEXT NOT NULL GENERATED ALWAYS AS (
                CASE
                    WHEN superseded_by IS NOT NULL THEN 'superseded'
                    WHEN outcome IS NOT NULL THEN 'resolved'
                    ELSE 'open'
                END
            ) VIRTUAL
        ) STRICT;
INSERT INTO decision VALUES(1,'01a1fb65-c6ab-72f6-84f9-dfbfb5cbd2a6','use sqlite','one file','[]','it was fast','tester','[]',NULL,NULL,'["editor"]',NULL,NULL,1767225600000000,1767225600000000,1767225600000000,2,'tester');
CREATE INDEX decision_by_project ON decision (project, seq);
CREATE INDEX decision_by_project_and_status ON decision (project, status, seq);
CREATE INDEX decision_by_status ON decision (status, seq);
CREATE INDEX decision_by_time ON decision (latest_at, seq);

DROP TABLE IF EXISTS decision_contradicts;
CREATE TABLE decision_contradicts (
            decision INTEGER NOT NULL REFERENCES decision (seq) ON DELETE CASCADE,
            project TEXT,
            key TEXT NOT NULL
        ) STRICT;
INSERT INTO decision_contradicts VALUES(1,NULL,'editor');
CREATE INDEX decision_contradicts_by_decision ON decision_contradicts (decision);
CREATE INDEX decision_contradicts_by_key ON decision_contradicts (key, project, decision);

DELETE FROM sqlite_schema WHERE name='decision_search' AND type='table';
INSERT INTO sqlite_schema(type,name,tbl_name,rootpage,sql) VALUES('table','decision_search','decision_search',0,'CREATE VIRTUAL TABLE decision_search USING fts5(decision, reasoning, alternatives, outcome, facets, content='''', contentless_delete=1, tokenize=''porter unicode61 remove_diacritics 2'')');

DROP TABLE IF EXISTS decision_search_config;
CREATE TABLE 'decision_search_config'(k PRIMARY KEY, v) WITHOUT ROWID;
INSERT INTO decision_search_config VALUES('version',4);

DROP TABLE IF EXISTS decision_search_data;
CREATE TABLE 'decision_search_data'(id INTEGER PRIMARY KEY, block BLOB);
INSERT INTO decision_search_data VALUES(1,X'010202000300');
INSERT INTO decision_search_data VALUES(10,X'00000000FF000001010203000201010101010101010201010202000001');
INSERT INTO decision_search_data VALUES(137438953473,X'0000002A053066696C65010601010301026F6E0106010102010673716C69746501020301027573010202040B090B');
INSERT INTO decision_search_data VALUES(274877906945,X'0000004605306661737401060103040203696C65010601010301026974010601030201026F6E0106010102010673716C69746501020301027573010202010277610106010303040B0A09090B07');
INSERT INTO decision_search_data VALUES(9007336693694464,X'04000000000000010000000000000001000000000000000000000000000000000000000000000000000000000000000000000000000000000000000000000000000000000000000000000000000000000000000000000000000000000000000000000000000000000000000000000000000000000000000000000000000000000000000000000000');

DROP TABLE IF EXISTS decision_search_docsize;
CREATE TABLE 'decision_search_docsize'(id INTEGER PRIMARY KEY, sz BLOB, origin INTEGER);
INSERT INTO decision_search_docsize VALUES(1,X'0202000300',2);

DROP TABLE IF EXISTS decision_search_idx;
CREATE TABLE 'decision_search_idx'(segid, term, pgno, PRIMARY KEY(segid, term)) WITHOUT ROWID;
INSERT INTO decision_search_idx VALUES(1,X'',2);
INSERT INTO decision_search_idx VALUES(2,X'',2);

DROP TABLE IF EXISTS error;
CREATE TABLE error (
            seq INTEGER PRIMARY KEY AUTOINCREMENT,
            id TEXT NOT NULL UNIQUE,
            error TEXT NOT NULL,
            context TEXT NOT NULL,
            resolution TEXT,
            resolution_actor TEXT,
            former_resolutions TEXT NOT NULL DEFAULT '[]',
            project TEXT,
            session_id TEXT,
            created_at INTEGER NOT NULL,
            latest_at INTEGER NOT NULL,
            updated_at INTEGER NOT NULL,
            version INTEGER NOT NULL DEFAULT 1,
            actor TEXT NOT NULL,
            status TEXT NOT NULL GENERATED ALWAYS AS (
                CASE WHEN resolution IS NULL THEN 'open' ELSE 'resolved' END
            ) VIRTUAL
        ) STRICT;
INSERT INTO error VALUES(1,'01a1fb65-c6af-753e-ae32-9161f0356f6e','it broke','null',NULL,NULL,'[]',NULL,NULL,1767225600000000,1767225600000000,1767225600000000,1,'tester');
CREATE INDEX error_by_project ON error (project, seq);
CREATE INDEX error_by_project_and_status ON error (project, status, seq);
CREATE INDEX error_by_status ON error (status, seq);
CREATE INDEX error_by_time ON error (latest_at, seq);

DROP TABLE IF EXISTS memory;
CREATE TABLE memory (
            seq INTEGER PRIMARY KEY AUTOINCREMENT,
            id TEXT NOT NULL,
            key TEXT NOT NULL,
            scope TEXT NOT NULL,
            value TEXT NOT NULL,
            category TEXT NOT NULL,
            priority INTEGER NOT NULL,
            tags TEXT NOT NULL,
            session_id TEXT,
            expires_at INTEGER,
            created_at INTEGER NOT NULL,
            updated_at INTEGER NOT NULL,
            version INTEGER NOT NULL,
            actor TEXT NOT NULL
        ) STRICT;
INSERT INTO memory VALUES(2,'01a1fb65-c6a1-75e6-909f-0a7fb29b7c95','editor','global','{"name":"helix","since":2024}','general',5,'["tool","new"]',NULL,NULL,1767225600000000,1767225600000000,2,'tester');
CREATE INDEX memory_by_category ON memory (category, priority);
CREATE INDEX memory_by_expiry ON memory (expires_at) WHERE expires_at IS NOT NULL;
CREATE INDEX memory_by_key ON memory (key);
CREATE INDEX memory_by_priority ON memory (priority);
CREATE INDEX memory_by_scope ON memory (scope, priority);
CREATE UNIQUE INDEX memory_by_scope_key ON memory (scope, key);

DROP TABLE IF EXISTS memory_history;
CREATE TABLE memory_history (
            scope TEXT NOT NULL,
            key TEXT NOT NULL,
            version INTEGER NOT NULL,
            id TEXT NOT NULL,
            value TEXT NOT NULL,
            category TEXT NOT NULL,
            priority INTEGER NOT NULL,
            tags TEXT NOT NULL,
            actor TEXT NOT NULL,
            updated_at INTEGER NOT NULL,
            ended_at INTEGER NOT NULL,
            ended TEXT NOT NULL CHECK (ended IN ('replaced', 'deleted', 'expired'))
        ) STRICT;
INSERT INTO memory_history VALUES('global','editor',1,'01a1fb65-c6a1-75e6-909f-0a7fb29b7c95','"vim"','general',5,'["tool"]','tester',1767225600000000,1767225600000000,'replaced');
INSERT INTO memory_history VALUES('p-1','gone',1,'01a1fb65-c6a3-7008-9b1a-ed94f2ea6786','1','general',5,'[]','tester',1767225600000000,1767225600000000,'deleted');
CREATE INDEX memory_history_by_expiry ON memory_history (scope, ended_at) WHERE ended = 'expired';
CREATE UNIQUE INDEX memory_history_by_key ON memory_history (scope, key, version);

DROP TABLE IF EXISTS memory_tag;
CREATE TABLE memory_tag (
            tag TEXT NOT NULL,
            priority INTEGER NOT NULL,
            seq INTEGER NOT NULL,
            PRIMARY KEY (tag, priority, seq)
        ) STRICT, WITHOUT ROWID;
INSERT INTO memory_tag VALUES('new',5,2);
INSERT INTO memory_tag VALUES('tool',5,2);

DELETE FROM sqlite_schema WHERE name='memory_text' AND type='table';
INSERT INTO sqlite_schema(type,name,tbl_name,rootpage,sql) VALUES('table','memory_text','memory_text',0,'CREATE VIRTUAL TABLE memory_text USING fts5(key, value, labels, facets, content='''', contentless_delete=1, tokenize=''porter unicode61 remove_diacritics 2'')');

DROP TABLE IF EXISTS memory_text_config;
CREATE TABLE 'memory_text_config'(k PRIMARY KEY, v) WITHOUT ROWID;
INSERT INTO memory_text_config VALUES('version',4);

DROP TABLE IF EXISTS memory_text_data;
CREATE TABLE 'memory_text_data'(id INTEGER PRIMARY KEY, block BLOB);
INSERT INTO memory_text_data VALUES(1,X'0101040302');
INSERT INTO memory_text_data VALUES(10,X'00000000FF0000010103050003010101010101010102010102020000010301010303010101');
INSERT INTO memory_text_data VALUES(137438953473,X'0000005F0730656469746F72010202010567656E657201060102020104746F6F6C0106010203010376696D01060101020111783230666530383566396261393264396201060103030210383863383565356237366335666230320106010302040B0C0B0A18');
INSERT INTO memory_text_data VALUES(274877906945,X'0000008B05303230323402060101050106656469746F72020202010567656E65720206010202010568656C6978020601010301046E616D650206010102020265770206010204010473696E6302060101040104746F6F6C02060102030111783230666530383566396261393264396202060103030210383863383565356237366335666230320206010302040B0B0C0C0B090B0B18');
INSERT INTO memory_text_data VALUES(412316860417,X'0000004F0230310306010102010567656E6572030601020202036F6E65030202011178323066653038356639626139326439620306010303021064336565613939643138336165666230030601030204080C0818');
INSERT INTO memory_text_data VALUES(9007336693694464,X'04000000000000010000000000000001000000000000000000000000000000000000000000000000000000000000000000000000000000000000000000000000000000000000000000000000000000000000000000000000000000000000000000000000000000000000000000000000000000000000000000000000000000000000000000000000');
INSERT INTO memory_text_data VALUES(9007611571601408,X'04000000000000010000000000000000000000000000000300000000000000000000000000000000000000000000000000000000000000000000000000000000000000000000000000000000000000000000000000000000000000000000000000000000000000000000000000000000000000000000000000000000000000000000000000000000');

DROP TABLE IF EXISTS memory_text_docsize;
CREATE TABLE 'memory_text_docsize'(id INTEGER PRIMARY KEY, sz BLOB, origin INTEGER);
INSERT INTO memory_text_docsize VALUES(2,X'01040302',2);

DROP TABLE IF EXISTS memory_text_idx;
CREATE TABLE 'memory_text_idx'(segid, term, pgno, PRIMARY KEY(segid, term)) WITHOUT ROWID;
INSERT INTO memory_text_idx VALUES(1,X'',2);
INSERT INTO memory_text_idx VALUES(2,X'',2);
INSERT INTO memory_text_idx VALUES(3,X'',2);

DROP TABLE IF EXISTS migration;
CREATE TABLE migration (name TEXT PRIMARY KEY, digest TEXT NOT NULL, at INTEGER NOT NULL) STRICT;
INSERT INTO migration VALUES('changes/001_change','fd19e49d94f36f6e',1767225600000000);
INSERT INTO migration VALUES('receipts/001_receipt','0d55cc949ccf46d5',1767225600000000);
INSERT INTO migration VALUES('memory/001_memory','8f70fc016e2916ce',1767225600000000);
INSERT INTO migration VALUES('journal/001_journal','6047b4a6c73e6dc1',1767225600000000);
INSERT INTO migration VALUES('component/001_component','3414c2dc9f8e3693',1767225600000000);

DROP TABLE IF EXISTS receipt;
CREATE TABLE receipt (
            key TEXT NOT NULL UNIQUE,
            fingerprint BLOB NOT NULL,
            result BLOB NOT NULL,
            at INTEGER NOT NULL
        ) STRICT;
CREATE INDEX receipt_by_age ON receipt (at);

DELETE FROM main.sqlite_sequence WHERE name='action';
INSERT INTO main.sqlite_sequence VALUES ('action', 1);
DELETE FROM main.sqlite_sequence WHERE name='change';
INSERT INTO main.sqlite_sequence VALUES ('change', 9);
DELETE FROM main.sqlite_sequence WHERE name='component';
INSERT INTO main.sqlite_sequence VALUES ('component', 1);
DELETE FROM main.sqlite_sequence WHERE name='decision';
INSERT INTO main.sqlite_sequence VALUES ('decision', 1);
DELETE FROM main.sqlite_sequence WHERE name='error';
INSERT INTO main.sqlite_sequence VALUES ('error', 1);
DELETE FROM main.sqlite_sequence WHERE name='memory';
INSERT INTO main.sqlite_sequence VALUES ('memory', 3);

COMMIT TRANSACTION;

PRAGMA writable_schema=OFF;

BEGIN;
CREATE TABLE no_such_table(x,y,z);
ROLLBACK;
