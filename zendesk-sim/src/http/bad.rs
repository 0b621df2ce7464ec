//! Bad answers on request: a healthy answer of an endpoint made into one that no client should be sent.
use super::wire::{End, Raw};
use super::{Reply, Req};
use base64::Engine;
use base64::engine::general_purpose::STANDARD;
use serde::Deserialize;
use serde_json::{Map, Value, json};
use std::collections::BTreeMap;
use std::io::Write;
use std::time::Duration;

/// One bad answer: to whom, how often, and what is bad.
#[derive(Clone, Debug, Default, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub struct Bad {
    /// Requests whose path contains this.
    pub path: String,
    /// How many of them are answered well first.
    pub skip: u32,
    /// How many are then answered badly; none: all.
    pub count: Option<u32>,
    /// What is bad.
    pub how: How,
    /// Status in place of the true one.
    pub status: Option<u16>,
    /// Headers in place of the true ones; those no server would send need `"how": "raw"`.
    pub headers: BTreeMap<String, String>,
    /// Body in place of the true one.
    pub body: Option<String>,
    /// Bytes of a bomb or a huge body.
    pub size: Option<usize>,
    /// Milliseconds between the bytes of a trickle.
    pub every_ms: Option<u64>,
    #[serde(skip)]
    seen: u32,
    #[serde(skip)]
    kept: Vec<Value>,
}

/// What is bad about an answer.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum How {
    /// Only what `status`, `headers` and `body` say.
    #[default]
    AsGiven,
    /// The same, written to the connection whether it is HTTP or not.
    Raw,
    /// Half the body that Content-Length tells of, then the end.
    CutBody,
    /// Half the body in chunks, then the end without the last chunk.
    CutChunks,
    /// Half the body, then a reset.
    Reset,
    /// A byte at a time.
    Trickle,
    /// The connection is kept and nothing comes.
    Silence,
    /// Spaces in chunks, for ever.
    EndlessChunks,
    /// A small body that unpacks to `size` bytes.
    GzipBomb,
    /// `size` bytes.
    Huge,
    /// A record of 100,000 brackets before the others.
    Deep,
    /// A byte that is no UTF-8 in the first text.
    InvalidUtf8,
    /// Links lead to another host.
    OtherHost,
    /// Links lead to the very page they stand on, and there is always more.
    SelfLinks,
    /// The cursor asked with comes back, and there is always more.
    SameCursor,
    /// Two cursors that lead to one another.
    CursorCycle,
    /// No rows, ever new cursors.
    EmptyPages,
    /// The rows of the first page, ever new cursors.
    SameRows,
    /// Nothing says where the end is.
    NoEnd,
    /// More to come, and no cursor to it.
    NullCursor,
    /// Times thousands of years ahead.
    FarTimes,
    /// A cursor of 100,000 bytes.
    LongCursor,
    /// A job that says it is at work, whatever becomes of it.
    JobNeverEnds,
}

/// What is sent.
pub enum Sent {
    /// An answer.
    Whole(Reply),
    /// Bytes that only look like one.
    Raw(Raw),
}

/// Makes an answer bad, if it was asked for.
pub fn spoil(all: &mut [Bad], req: &Req, reply: Reply) -> Sent {
    match all.iter_mut().find_map(|bad| bad.strikes(req).then_some(bad)) {
        Some(bad) => bad.answer(req, reply),
        None => Sent::Whole(reply),
    }
}

impl Bad {
    /// Counts a request that it is meant for; true when this one is to be answered badly.
    fn strikes(&mut self, req: &Req) -> bool {
        if self.path.is_empty() || !req.path.contains(&self.path) {
            return false;
        }
        self.seen = self.seen.saturating_add(1);
        self.seen > self.skip && self.count.is_none_or(|count| self.seen - self.skip <= count)
    }

    fn answer(&mut self, req: &Req, mut reply: Reply) -> Sent {
        match self.how {
            How::GzipBomb => {
                reply.body = bomb(self.size());
                reply = reply.with("content-encoding", "gzip");
            }
            How::Huge => reply.body.splice(0..0, std::iter::repeat_n(b' ', self.size())).for_each(drop),
            How::Deep => {
                let record = format!("{}{},", "[".repeat(50_000), "]".repeat(50_000));
                let at = reply.body.iter().position(|byte| *byte == b'[').map_or(0, |at| at + 1);
                reply.body.splice(at..at, record.into_bytes()).for_each(drop);
            }
            How::InvalidUtf8 => {
                let text = reply.body.windows(2).position(|pair| pair == b":\"").map_or(0, |at| at + 2);
                reply.body.insert(text, 0xff);
            }
            _ if reply.status != 200 => {}
            _ => {
                if let Ok(Value::Object(mut page)) = serde_json::from_slice(&reply.body) {
                    self.rewrite(req, &mut page);
                    reply.body = Value::Object(page).to_string().into_bytes();
                }
            }
        }
        reply.status = self.status.unwrap_or(reply.status);
        if let Some(body) = &self.body {
            reply.body = body.clone().into_bytes();
        }
        reply.headers.extend(self.headers.clone());
        self.send(reply)
    }

    fn size(&self) -> usize {
        self.size.unwrap_or(128 << 20)
    }

    fn send(&self, reply: Reply) -> Sent {
        let every = Duration::from_millis(self.every_ms.unwrap_or(1000));
        let half = reply.body.len() / 2;
        Sent::Raw(match self.how {
            How::Raw => Raw::of(&reply, reply.body.len(), End::Close),
            How::CutBody => Raw::of(&reply, half, End::Close),
            How::CutChunks => Raw::chunked(&reply, half, End::Close),
            How::Reset => Raw::of(&reply, half, End::Reset),
            How::Trickle => Raw::paced(&reply, every),
            How::Silence => Raw::nothing(),
            How::EndlessChunks => Raw::chunked(&reply, half, End::Never),
            _ => return Sent::Whole(reply),
        })
    }

    fn rewrite(&mut self, req: &Req, page: &mut Map<String, Value>) {
        match self.how {
            How::OtherHost => links(page, |link| link.replacen("://", "://evil.invalid/", 1)),
            How::SelfLinks => {
                let query = url::form_urlencoded::Serializer::new(String::new()).extend_pairs(&req.query).finish();
                links(page, |link| format!("{}?{query}", link.split('?').next().unwrap_or_default()));
                go_on(page, asked(req), asked_time(req));
            }
            How::SameCursor => go_on(page, asked(req), asked_time(req)),
            How::CursorCycle => {
                if self.kept.len() < 2 {
                    self.kept.push(json!([cursor(page), page.get("end_time")]));
                }
                let next = self.kept[(self.seen - self.skip - 1) as usize % self.kept.len().max(1)].clone();
                go_on(page, next[0].as_str().map(str::to_owned), next[1].as_i64());
            }
            How::EmptyPages => {
                rows(page, |rows| rows.clear());
                self.new_cursor(req, page);
            }
            How::SameRows => {
                let mut kept = self.kept.first().cloned();
                rows(page, |rows| match &kept {
                    Some(first) => *rows = first.as_array().cloned().unwrap_or_default(),
                    None => kept = Some(json!(rows)),
                });
                self.kept.splice(.., kept);
                self.new_cursor(req, page);
            }
            How::NoEnd => {
                page.remove("end_of_stream");
                if let Some(Value::Object(meta)) = page.get_mut("meta") {
                    meta.remove("has_more");
                }
            }
            How::NullCursor => go_on(page, None, None),
            How::LongCursor => go_on(page, Some("x".repeat(100_000)), Some(i64::MAX)),
            How::FarTimes => far(page),
            How::JobNeverEnds => {
                if let Some(Value::Object(job)) = page.get_mut("job_status") {
                    job.insert("status".into(), json!("working"));
                    job.insert("results".into(), Value::Null);
                }
            }
            _ => {}
        }
    }

    /// A cursor that was never given before and still leads somewhere: what stands behind its end is not read.
    fn new_cursor(&self, req: &Req, page: &mut Map<String, Value>) {
        let base = cursor(page).or_else(|| asked(req)).and_then(|text| STANDARD.decode(text).ok());
        let base = base.and_then(|bytes| String::from_utf8(bytes).ok()).unwrap_or_else(|| "0.0||0|0".into());
        let place = match base.starts_with('{') {
            true => format!("{}{}", base.trim_end(), " ".repeat(self.seen as usize)),
            false => format!("{}|{}", base.split('|').take(4).collect::<Vec<_>>().join("|"), self.seen),
        };
        let time = asked_time(req).map(|time| time + 1);
        go_on(page, Some(STANDARD.encode(place)), time);
    }
}

fn asked(req: &Req) -> Option<String> {
    req.q("cursor").or_else(|| req.q("page[after]")).map(str::to_owned)
}

fn asked_time(req: &Req) -> Option<i64> {
    req.number("start_time")
}

fn cursor(page: &Map<String, Value>) -> Option<String> {
    let own = page.get("after_cursor").and_then(Value::as_str);
    own.or_else(|| page.get("meta")?["after_cursor"].as_str()).map(str::to_owned)
}

/// There is more, at this cursor or this time.
fn go_on(page: &mut Map<String, Value>, cursor: Option<String>, time: Option<i64>) {
    if let Some(Value::Object(meta)) = page.get_mut("meta") {
        meta.insert("has_more".into(), json!(true));
        meta.insert("after_cursor".into(), json!(cursor));
        return;
    }
    page.insert("end_of_stream".into(), json!(false));
    if page.contains_key("after_cursor") {
        page.insert("after_cursor".into(), json!(cursor));
    }
    if page.contains_key("end_time") {
        page.insert("end_time".into(), json!(time));
    }
}

fn links(page: &mut Map<String, Value>, change: impl Fn(&str) -> String) {
    let mut change = |value: &mut Value| {
        if let Value::String(link) = value {
            *link = change(link);
        }
    };
    for key in ["after_url", "next_page"] {
        page.get_mut(key).into_iter().for_each(&mut change);
    }
    page.get_mut("links").and_then(|links| links.get_mut("next")).into_iter().for_each(change);
}

fn rows(page: &mut Map<String, Value>, change: impl FnOnce(&mut Vec<Value>)) {
    if let Some(rows) = page.values_mut().find_map(Value::as_array_mut) {
        change(rows);
    }
}

fn far(page: &mut Map<String, Value>) {
    const FAR: &str = "9998-01-01T00:00:00Z";
    rows(page, |rows| {
        for row in rows.iter_mut().filter_map(Value::as_object_mut) {
            for key in ["updated_at", "created_at"] {
                row.get_mut(key).into_iter().for_each(|value| *value = json!(FAR));
            }
        }
    });
    page.get_mut("end_time").into_iter().for_each(|value| *value = json!(253_000_000_000_i64));
}

fn bomb(size: usize) -> Vec<u8> {
    let mut packed = flate2::write::GzEncoder::new(Vec::new(), flate2::Compression::fast());
    let chunk = vec![b' '; 1 << 20];
    for _ in 0..size.div_ceil(chunk.len()) {
        packed.write_all(&chunk).expect("invariant: memory takes what is written");
    }
    packed.finish().expect("invariant: memory takes what is written")
}
