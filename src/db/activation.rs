//! Table `activation`: definitions, roll-out, clock, what is wrong.
