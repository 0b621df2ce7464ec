//! The query language of searches: what ordinary clients write, taken apart.
use crate::time::Stamp;
use std::cmp::Ordering;

/// How a term compares.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Op {
    /// `:`
    Is,
    /// `<`
    Less,
    /// `<=`
    AtMost,
    /// `>`
    More,
    /// `>=`
    AtLeast,
}

/// One term: `status<solved`, `-tags:vip`, or a plain word.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Term {
    /// What is compared; none is any text of the record.
    pub key: Option<String>,
    /// How.
    pub op: Op,
    /// With what, in lower case.
    pub value: String,
    /// Whether it must not be so.
    pub not: bool,
}

/// A query taken apart.
#[derive(Debug, Default, PartialEq, Eq)]
pub struct Query {
    /// Sorts of records asked for; none is any.
    pub kinds: Vec<String>,
    /// Terms other than the sort of record and the order.
    pub terms: Vec<Term>,
    /// What results are ordered by, and whether they go up.
    pub order: Option<(String, bool)>,
}

/// What a record has under a key.
pub enum Values {
    /// The key means nothing to this sort of record.
    Unknown,
    /// Texts, any of which may match.
    Texts(Vec<String>),
    /// A moment, or none.
    Time(Option<Stamp>),
    /// A place in an order: status and priority.
    Rank(Option<usize>, &'static [&'static str]),
}

impl Query {
    /// Takes a query apart.
    pub fn parse(text: &str) -> Self {
        let mut query = Self::default();
        let (mut by, mut up) = (None, false);
        for word in words(&text.to_lowercase()) {
            let term = Term::parse(&word);
            match term.key.as_deref() {
                Some("type") if term.op == Op::Is => query.kinds.push(term.value),
                Some("order_by") => by = Some(term.value),
                Some("sort") => up = term.value == "asc",
                _ => query.terms.push(term),
            }
        }
        query.order = by.map(|by| (by, up));
        query
    }

    /// Whether a record matches: terms of one key are alternatives, unless they exclude or bound.
    pub fn matches(&self, values: impl Fn(Option<&str>) -> Values) -> bool {
        let alternative = |term: &&Term| term.op == Op::Is && !term.not && term.key.is_some();
        self.terms.iter().all(|term| {
            let found = values(term.key.as_deref());
            if !alternative(&term) {
                return term.holds(&found);
            }
            self.terms.iter().filter(alternative).filter(|other| other.key == term.key).any(|other| other.holds(&found))
        })
    }

    /// The value of a key that is asked for exactly once, for look-ups.
    pub fn only(&self, key: &str) -> Option<&str> {
        let mut found = self.terms.iter().filter(|term| term.key.as_deref() == Some(key));
        match (found.next(), found.next()) {
            (Some(term), None) if term.op == Op::Is && !term.not && !term.value.contains('*') => Some(&term.value),
            _ => None,
        }
    }
}

impl Term {
    fn parse(word: &str) -> Self {
        let (word, not) = match word.strip_prefix('-') {
            Some(rest) if !rest.is_empty() => (rest, true),
            _ => (word, false),
        };
        let plain = |value: &str| Self { key: None, op: Op::Is, value: bare(value), not };
        if word.starts_with('"') {
            return plain(word);
        }
        let Some(at) = word.find([':', '<', '>']).filter(|at| *at > 0) else { return plain(word) };
        let (key, rest) = word.split_at(at);
        let known = [(">=", Op::AtLeast), ("<=", Op::AtMost), (">", Op::More), ("<", Op::Less), (":", Op::Is)];
        let found = known.iter().find_map(|(sign, op)| Some((rest.strip_prefix(sign)?, *op)));
        found.map_or_else(|| plain(word), |(value, op)| Self { key: Some(key.to_owned()), op, value: bare(value), not })
    }

    fn holds(&self, values: &Values) -> bool {
        let found = match values {
            // An unknown key is taken for words.
            Values::Unknown => false,
            Values::Texts(texts) if self.value == "none" => texts.is_empty(),
            Values::Texts(texts) => texts.iter().any(|text| fits(&self.value, text, self.key.is_some())),
            Values::Time(at) => match (at, moment(&self.value)) {
                (Some(at), Some((from, until))) => self.in_time(at.0, from.0, until.0),
                _ => self.value == "none" && at.is_none(),
            },
            Values::Rank(rank, order) => match (rank, order.iter().position(|word| *word == self.value)) {
                (Some(rank), Some(asked)) => self.in_order(rank.cmp(&asked)),
                _ => self.value == "none" && rank.is_none(),
            },
        };
        found != self.not
    }

    fn in_order(&self, order: Ordering) -> bool {
        match self.op {
            Op::Is => order.is_eq(),
            Op::Less => order.is_lt(),
            Op::AtMost => order.is_le(),
            Op::More => order.is_gt(),
            Op::AtLeast => order.is_ge(),
        }
    }

    fn in_time(&self, at: i64, from: i64, until: i64) -> bool {
        match self.op {
            Op::Is => (from..until).contains(&at),
            Op::Less => at < from,
            Op::AtMost => at < until,
            Op::More => at >= until,
            Op::AtLeast => at >= from,
        }
    }
}

/// Words of a query; quotes hold spaces together.
fn words(text: &str) -> Vec<String> {
    let (mut all, mut word, mut quoted) = (Vec::new(), String::new(), false);
    for c in text.chars() {
        quoted ^= c == '"';
        if c.is_whitespace() && !quoted {
            all.push(std::mem::take(&mut word));
        } else {
            word.push(c);
        }
    }
    all.push(word);
    all.retain(|word| !word.is_empty());
    all
}

fn bare(text: &str) -> String {
    text.trim_matches('"').to_owned()
}

/// Whether a text matches: with a key as a whole or as one of its words, without anywhere. `*` stands for anything at the end.
fn fits(asked: &str, text: &str, keyed: bool) -> bool {
    let text = text.to_lowercase();
    match asked.strip_suffix('*') {
        Some(start) => text.split_whitespace().any(|word| word.starts_with(start)) || text.starts_with(start),
        None if keyed => {
            text == asked
                || text.split(|c: char| c.is_whitespace() || c == ',').any(|word| word == asked)
                || (asked.contains(' ') && text.contains(asked))
        }
        None => text.contains(asked),
    }
}

/// The span a date or moment names: a day, or a second.
fn moment(text: &str) -> Option<(Stamp, Stamp)> {
    let text = text.to_uppercase();
    if let Some(day) = Stamp::parse(&format!("{text}T00:00:00Z")) {
        return Some((day, day.plus(86_400)));
    }
    let at = Stamp::parse(&text).or_else(|| Stamp::parse(&format!("{}Z", text.get(..19)?)))?;
    Some((at, at.plus(1)))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn queries_are_taken_apart() {
        let query =
            Query::parse("type:ticket status<solved -tags:VIP \"red bike\" subject:\"a b\" order_by:created sort:asc");
        assert_eq!(query.kinds, ["ticket"]);
        assert_eq!(query.order, Some(("created".into(), true)));
        let terms: Vec<_> = query.terms.iter().map(|t| (t.key.as_deref(), t.op, t.value.as_str(), t.not)).collect();
        let expected = [
            (Some("status"), Op::Less, "solved", false),
            (Some("tags"), Op::Is, "vip", true),
            (None, Op::Is, "red bike", false),
            (Some("subject"), Op::Is, "a b", false),
        ];
        assert_eq!(terms, expected);
    }

    #[test]
    fn terms_of_one_key_are_alternatives() {
        let cases = [("tags:a tags:b", true), ("tags:c", false), ("tags:a -tags:x", false), ("tags:a name:zoe", false)];
        for (text, expected) in cases {
            let found = Query::parse(text).matches(|key| match key {
                Some("tags") => Values::Texts(vec!["a".into(), "x".into()]),
                _ => Values::Texts(vec!["ann".into()]),
            });
            assert_eq!(found, expected, "{text}");
        }
    }

    #[test]
    fn dates_are_days_and_moments_seconds() {
        let at = Stamp::parse("2026-03-01T12:00:00Z");
        let cases = [
            ("created:2026-03-01", true),
            ("created>2026-03-01", false),
            ("created>=2026-03-01", true),
            ("created<2026-03-01", false),
            ("created<=2026-03-01", true),
            ("created>2026-03-01t11:59:59z", true),
            ("created<2026-03-01t12:00:00z", false),
        ];
        for (text, expected) in cases {
            assert_eq!(Query::parse(text).matches(|_| Values::Time(at)), expected, "{text}");
        }
    }
}
