//! Files sent ahead of the comment they belong to.
use crate::time::Stamp;
use crate::world::World;
use crate::world::audit::Attachment;
use rand::RngExt;

/// How long a token is good for, in seconds.
const KEPT: i64 = 3_600;

/// Files under one token.
#[derive(Clone, Debug)]
pub struct Upload {
    /// The files.
    pub files: Vec<Attachment>,
    /// Until when they wait.
    pub expires_at: Stamp,
}

impl World {
    /// Keeps a file under a token, a new one or that of files sent before; answers the token.
    pub fn upload(&mut self, now: Stamp, name: &str, kind: &str, size: u32, token: Option<&str>) -> Option<String> {
        let known: &[&'static str] = &["image/png", "image/jpeg", "image/gif", "application/pdf", "text/plain"];
        let kind = kind.split(';').next().unwrap_or_default().trim();
        let content_type = known.iter().find(|known| **known == kind).copied().unwrap_or("application/octet-stream");
        let file = Attachment { id: self.new_id(), file_name: name.to_owned(), content_type, size };
        self.uploads.retain(|_, upload| upload.expires_at > now);
        let token = match token {
            Some(token) => token.to_owned(),
            None => format!("{:032x}", self.chance.random::<u128>()),
        };
        if !self.uploads.contains_key(&token) && token.len() != 32 {
            return None;
        }
        let fresh = Upload { files: Vec::new(), expires_at: now.plus(KEPT) };
        self.uploads.entry(token.clone()).or_insert(fresh).files.push(file);
        Some(token)
    }

    /// Takes the files of a token: they are used once.
    pub fn take_upload(&mut self, now: Stamp, token: &str) -> Option<Vec<Attachment>> {
        self.uploads.remove(token).filter(|upload| upload.expires_at > now).map(|upload| upload.files)
    }

    /// A file on any comment, or waiting.
    pub fn attachment(&self, id: i64) -> Option<&Attachment> {
        let waiting = self.uploads.values().flat_map(|upload| &upload.files);
        let comments = self.tickets.values().flat_map(|ticket| ticket.comments());
        waiting.chain(comments.flat_map(|(.., comment)| &comment.attachments)).find(|file| file.id == id)
    }
}
