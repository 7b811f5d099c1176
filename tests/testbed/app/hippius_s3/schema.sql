-- SPDX-License-Identifier: GPL-3.0-or-later
CREATE TABLE blobs (
    cid text PRIMARY KEY,
    body bytea NOT NULL
);
CREATE TABLE objects (
    bucket text,
    key text,
    version uuid NOT NULL UNIQUE,
    etag text NOT NULL,
    size bigint NOT NULL,
    cid text REFERENCES blobs,
    state text NOT NULL DEFAULT 'accepted',
    PRIMARY KEY (bucket, key)
);
