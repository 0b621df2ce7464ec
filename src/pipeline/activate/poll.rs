//! Calls that are under way: their jobs asked for, their records given results; unknown ones settled by reading.
