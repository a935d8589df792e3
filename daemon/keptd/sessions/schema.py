"""The tables of conversations.

`session.seq` is the order in which sessions were begun, `message.seq` that in which messages came. `place` says where a
session is: `here`, or in the `trash`; `staged` while it is being imported, and `going` while its messages are being
removed. Only those that are here are shown.

A list of sessions is in order of `active_at`, for each status, so that it merges two or three runs of an index. Tags
have a table of their own, in the order of the sessions. What belongs to no project is a run of its index as well.

The counts of a session (`messages`, `bytes`, `tokens`, `said_...`) are kept with it, since counting a million messages
takes seconds. `session_gone` has the `seq` and the id of each session that was removed for good, so that messages which
a recovery finds without their session can be told from those of one that was lost.

`message_in_brief` repeats what a search asks of each of many hits: whose it is. Their rows lie on as many pages, each
of which would have to be read for it, while 290 entries lie on one. With `created_at` it would be 180, and those of a
common word would no longer fit a connection's cache: twice the time.

`session_attachment` has a row while a connection is in a session. `ticks` is the monotonic clock, in microseconds,
when it came: it means something to this run of the daemon alone.
"""

from __future__ import annotations

from ..store.migrations import Migration
from ..store.search import Index

MESSAGE_TEXT = Index("message_text", {"speaker": 1.0, "content": 1.0}, length_share=0.4, removed_in_bulk=True)
"""Who spoke and what was said; by `message.seq`. Turns are short: a longer one says more rather than the same."""

SESSION_TEXT = Index("session_text", {"title": 2.0, "summary": 1.0, "tags": 1.5})
"""Titles, summaries and tags; by `session.seq`."""

MIGRATIONS = (
    Migration(
        "001_session",
        f"""
        CREATE TABLE session (
            seq INTEGER PRIMARY KEY AUTOINCREMENT,
            id TEXT NOT NULL UNIQUE,
            place TEXT NOT NULL DEFAULT 'here' CHECK (place IN ('here', 'trash', 'staged', 'going')),
            title TEXT NOT NULL,
            parent_id TEXT,
            project TEXT,
            status TEXT NOT NULL CHECK (status IN ('active', 'closed', 'archived')),
            summary TEXT,
            max_context_messages INTEGER,
            metadata TEXT NOT NULL,
            tags TEXT NOT NULL,
            messages INTEGER NOT NULL DEFAULT 0,
            bytes INTEGER NOT NULL DEFAULT 0,
            last_message_at INTEGER,
            active_at INTEGER NOT NULL,
            attached_us INTEGER NOT NULL DEFAULT 0,
            attachments INTEGER NOT NULL DEFAULT 0,
            created_at INTEGER NOT NULL,
            updated_at INTEGER NOT NULL,
            closed_at INTEGER,
            version INTEGER NOT NULL DEFAULT 1,
            actor TEXT NOT NULL,
            extra TEXT,
            tokens INTEGER NOT NULL DEFAULT 0,
            said_user INTEGER NOT NULL DEFAULT 0,
            said_assistant INTEGER NOT NULL DEFAULT 0,
            said_system INTEGER NOT NULL DEFAULT 0,
            said_tool INTEGER NOT NULL DEFAULT 0
        ) STRICT;
        CREATE INDEX session_by_status ON session (place, status, active_at, seq);
        CREATE INDEX session_by_project ON session (project, place, status, active_at, seq);
        CREATE INDEX session_by_parent ON session (parent_id, seq) WHERE parent_id IS NOT NULL;

        CREATE TABLE session_tag (
            tag TEXT NOT NULL,
            session INTEGER NOT NULL,
            PRIMARY KEY (tag, session)
        ) STRICT, WITHOUT ROWID;

        CREATE TABLE session_gone (
            seq INTEGER PRIMARY KEY,
            id TEXT NOT NULL
        ) STRICT;

        CREATE TABLE session_attachment (
            seq INTEGER PRIMARY KEY AUTOINCREMENT,
            session INTEGER NOT NULL,
            connection INTEGER NOT NULL,
            client TEXT NOT NULL,
            pid INTEGER NOT NULL,
            user TEXT,
            since INTEGER NOT NULL,
            ticks INTEGER NOT NULL
        ) STRICT;
        CREATE UNIQUE INDEX session_attachment_by_session ON session_attachment (session, connection);
        CREATE INDEX session_attachment_by_connection ON session_attachment (connection);

        CREATE TABLE message (
            seq INTEGER PRIMARY KEY AUTOINCREMENT,
            id TEXT NOT NULL UNIQUE,
            session INTEGER NOT NULL,
            number INTEGER NOT NULL,
            role TEXT NOT NULL CHECK (role IN ('user', 'assistant', 'system', 'tool')),
            speaker TEXT,
            content TEXT NOT NULL,
            metadata TEXT NOT NULL,
            created_at INTEGER NOT NULL,
            actor TEXT NOT NULL,
            extra TEXT
        ) STRICT;
        CREATE UNIQUE INDEX message_by_session ON message (session, number);
        CREATE INDEX message_in_brief ON message (seq, session);

        {MESSAGE_TEXT.create_sql()}
        {MESSAGE_TEXT.size_sql()}
        {SESSION_TEXT.create_sql()}
        {SESSION_TEXT.size_sql()}
        """,
    ),
)
