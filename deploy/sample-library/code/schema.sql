-- The register of vessels and the tide book, as tables.

CREATE TABLE vessel (
    call_sign   TEXT PRIMARY KEY,
    name        TEXT NOT NULL,
    length_m    NUMERIC NOT NULL CHECK (length_m > 0),
    draught_m   NUMERIC NOT NULL CHECK (draught_m > 0),
    exempt_from_pilotage BOOLEAN NOT NULL DEFAULT FALSE
);

CREATE TABLE tide_reading (
    read_at     TIMESTAMP PRIMARY KEY,
    level_m     NUMERIC NOT NULL,
    gauge       TEXT NOT NULL CHECK (gauge IN ('float', 'radar', 'staff')),
    observer    TEXT
);

-- The surge residual: what the weather added to the predicted tide.
CREATE VIEW surge_residual AS
SELECT r.read_at, r.level_m - p.level_m AS residual_m
FROM tide_reading AS r
JOIN tide_prediction AS p ON p.predicted_for = r.read_at
WHERE r.gauge <> 'staff';
