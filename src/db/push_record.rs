//! Table `push_record`: what became of each record of a run.
