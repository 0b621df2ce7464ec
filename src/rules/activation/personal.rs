//! Which origins are personal data: a mapping of one needs it said so in the file.
