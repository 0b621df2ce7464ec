//! The lines of a file, none longer than a limit in memory, and the rows of a CSV file in them.

use std::collections::VecDeque;
use std::io::{self, BufRead};

/// The longest line, and the longest row of several lines, in bytes.
pub const MAX_LINE: usize = 1024 * 1024;

/// Why a line is no row.
pub const TOO_LONG: &str = "longer than 1 MiB; left out";
const UNCLOSED: &str = "a quote is not closed; left out";

/// What was read.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Got {
    /// A line or row, which begins at this line.
    Row(u64),
    /// Something that is none.
    Bad(u64, &'static str),
    /// Nothing: the file has ended.
    End,
}

/// A line that was read and is to be read again; `None` is one that was too long to keep.
type Kept = (u64, Option<Vec<u8>>);

/// The lines of a file, from 1 on, without their ends.
pub struct Lines<R> {
    input: R,
    next: u64,
    again: VecDeque<Kept>,
    /// Bytes taken from the file.
    pub bytes: u64,
}

impl<R: BufRead> Lines<R> {
    /// The lines of `input`.
    pub fn new(input: R) -> Lines<R> {
        Lines { input, next: 1, again: VecDeque::new(), bytes: 0 }
    }

    /// Reads the next line into `line`.
    pub fn read(&mut self, line: &mut Vec<u8>) -> io::Result<Got> {
        if let Some((number, kept)) = self.again.pop_front() {
            let Some(kept) = kept else { return Ok(Got::Bad(number, TOO_LONG)) };
            *line = kept;
            return Ok(Got::Row(number));
        }
        line.clear();
        let mut too_long = false;
        let mut ended = false;
        let before = self.bytes;
        while !ended {
            let chunk = self.input.fill_buf()?;
            if chunk.is_empty() {
                break;
            }
            let end = chunk.iter().position(|byte| *byte == b'\n');
            let part = &chunk[..end.unwrap_or(chunk.len())];
            too_long |= line.len() + part.len() > MAX_LINE;
            if !too_long {
                line.extend_from_slice(part);
            }
            ended = end.is_some();
            let taken = part.len() + usize::from(ended);
            self.input.consume(taken);
            self.bytes += taken as u64;
        }
        if self.bytes == before {
            return Ok(Got::End);
        }
        let number = self.next;
        self.next += 1;
        if line.last() == Some(&b'\r') {
            line.pop();
        }
        if number == 1 && line.starts_with(b"\xEF\xBB\xBF") {
            line.drain(..3);
        }
        Ok(if too_long { Got::Bad(number, TOO_LONG) } else { Got::Row(number) })
    }

    /// Gives lines back, in their order.
    fn give_back(&mut self, lines: Vec<Kept>) {
        for line in lines.into_iter().rev() {
            self.again.push_front(line);
        }
    }
}

/// The rows of a CSV file. A quote that is not closed costs the line it stands in and no other.
pub struct Csv<R> {
    lines: Lines<R>,
    core: csv_core::Reader,
    line: Vec<u8>,
    out: Vec<u8>,
    ends: Vec<usize>,
    written: usize,
    cells: usize,
}

impl<R: BufRead> Csv<R> {
    /// The rows of `lines`; the delimiter is the one that the first line has most of.
    pub fn new(mut lines: Lines<R>) -> io::Result<Csv<R>> {
        let mut first = Vec::new();
        let delimiter = match lines.read(&mut first)? {
            Got::Row(number) => {
                let delimiter = delimiter_of(&first);
                lines.give_back(vec![(number, Some(first))]);
                delimiter
            }
            Got::Bad(number, _) => {
                lines.give_back(vec![(number, None)]);
                b','
            }
            Got::End => b',',
        };
        let core =
            csv_core::ReaderBuilder::new().delimiter(delimiter).terminator(csv_core::Terminator::Any(b'\n')).build();
        Ok(Csv { lines, core, line: Vec::new(), out: vec![0; 4096], ends: vec![0; 64], written: 0, cells: 0 })
    }

    /// Bytes taken from the file.
    pub fn bytes(&self) -> u64 {
        self.lines.bytes
    }

    /// How many cells the row has.
    pub fn width(&self) -> usize {
        self.cells
    }

    /// The cells of the row.
    pub fn cells(&self) -> impl Iterator<Item = &[u8]> {
        let starts = std::iter::once(0).chain(self.ends.iter().copied());
        starts.zip(&self.ends[..self.cells]).map(|(start, end)| &self.out[start..*end])
    }

    /// Reads the next row.
    pub fn advance(&mut self) -> io::Result<Got> {
        let mut taken: Vec<Kept> = Vec::new();
        let mut size = 0;
        (self.written, self.cells) = (0, 0);
        loop {
            let got = self.lines.read(&mut self.line)?;
            let number = match got {
                Got::Row(_) if taken.is_empty() && self.line.is_empty() => continue,
                Got::Row(number) => number,
                _ if taken.is_empty() => return Ok(got),
                Got::Bad(number, _) => {
                    taken.push((number, None));
                    return Ok(self.give_up(taken));
                }
                Got::End => return Ok(self.give_up(taken)),
            };
            size += self.line.len() + 1;
            self.line.push(b'\n');
            let whole = size <= MAX_LINE + 1 && self.feed();
            self.line.pop();
            if whole {
                return Ok(Got::Row(taken.first().map_or(number, |(first, _)| *first)));
            }
            taken.push((number, Some(std::mem::take(&mut self.line))));
            if size > MAX_LINE {
                return Ok(self.give_up(taken));
            }
        }
    }

    /// Leaves out the first of these lines and reads on with the second.
    fn give_up(&mut self, mut taken: Vec<Kept>) -> Got {
        let (number, _) = taken.remove(0);
        self.lines.give_back(taken);
        self.core.reset();
        Got::Bad(number, UNCLOSED)
    }

    /// Parses the line. True when the row ends with it.
    fn feed(&mut self) -> bool {
        use csv_core::ReadRecordResult::{End, InputEmpty, OutputEndsFull, OutputFull, Record};
        let mut at = 0;
        while at < self.line.len() {
            let (out, ends) = (&mut self.out[self.written..], &mut self.ends[self.cells..]);
            let (result, read, written, cells) = self.core.read_record(&self.line[at..], out, ends);
            at += read;
            self.written += written;
            self.cells += cells;
            match result {
                InputEmpty | End => return false,
                OutputFull => self.out.resize(self.out.len() * 2, 0),
                OutputEndsFull => self.ends.resize(self.ends.len() * 2, 0),
                Record => return true,
            }
        }
        false
    }
}

/// The delimiter that a header has most of, outside quotes.
fn delimiter_of(header: &[u8]) -> u8 {
    let mut counts = [(b',', 0), (b';', 0), (b'\t', 0), (b'|', 0)];
    let mut quoted = false;
    for byte in header {
        quoted ^= *byte == b'"';
        if let Some((_, count)) = counts.iter_mut().find(|(delimiter, _)| delimiter == byte && !quoted) {
            *count += 1;
        }
    }
    let most = counts.iter().map(|(_, count)| *count).max().unwrap_or_default();
    counts.iter().find(|(_, count)| *count == most).map_or(b',', |(delimiter, _)| *delimiter)
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    fn rows(file: &[u8]) -> Vec<String> {
        let mut csv = Csv::new(Lines::new(io::BufReader::with_capacity(7, file))).expect("a file");
        let mut rows = Vec::new();
        loop {
            match csv.advance().expect("bytes in memory") {
                Got::Row(line) => {
                    let cells: Vec<_> = csv.cells().map(String::from_utf8_lossy).collect();
                    rows.push(format!("{line}:{}", cells.join("/")));
                }
                Got::Bad(line, reason) => rows.push(format!("{line}!{}", &reason[..7])),
                Got::End => return rows,
            }
        }
    }

    fn check(file: &str, expected: &[&str]) {
        assert_eq!(rows(file.as_bytes()), expected, "{file:?}");
    }

    #[test]
    fn rows_of_every_kind() {
        check("", &[]);
        check("a,b\n1,2\n", &["1:a/b", "2:1/2"]);
        check("\u{FEFF}a;b\r\n1;\r\n\r\n3;4", &["1:a/b", "2:1/", "4:3/4"]);
        check("a\tb\n\"x\ty\"\t\"say \"\"hi\"\"\"\n", &["1:a/b", "2:x\ty/say \"hi\""]);
        check("a,b\n\"1\r\n\n2\",3\n4,5", &["1:a/b", "2:1\n\n2/3", "5:4/5"]);
        check("\"a;1;2\",b\nx,5\" pipe\n", &["1:a;1;2/b", "2:x/5\" pipe"]);
        check("one\nx\n", &["1:one", "2:x"]);
    }

    #[test]
    fn a_quote_that_is_not_closed_costs_one_line() {
        check("a,b\n\"1,2\n3,4\n5,6\n", &["1:a/b", "2!a quote", "3:3/4", "4:5/6"]);
        let long = format!("a,b\n\"1,2\n3,4\n{}\n5,\"6\"\n", "x".repeat(MAX_LINE + 1));
        check(&long, &["1:a/b", "2!a quote", "3:3/4", "4!longer ", "5:5/6"]);
        let many = format!("a,b\n\"1,2\n{}", "3,4\n".repeat(MAX_LINE / 4));
        let found = rows(many.as_bytes());
        assert_eq!((found.len(), found[1].as_str(), found[2].as_str()), (MAX_LINE / 4 + 2, "2!a quote", "3:3/4"));
    }

    #[test]
    fn a_line_may_have_a_mebibyte() {
        let file = format!("a\n{}\n{}\nz\n", "x".repeat(MAX_LINE), "y".repeat(MAX_LINE + 1));
        let found = rows(file.as_bytes());
        assert_eq!(found[1].len(), MAX_LINE + 2);
        assert_eq!(found[2..], ["3!longer ", "4:z"]);
    }

    proptest! {
        #[test]
        fn nothing_makes_it_panic(file in proptest::collection::vec(prop_oneof![
            any::<u8>(), Just(b'"'), Just(b','), Just(b'\n'), Just(b'\r'),
        ], 0..200)) {
            let _ = rows(&file);
        }
    }
}
