//! What mappings ask of people, across the tables of a person: a page of rows in one statement a table. Reads only.
